/** A house full of sensors, the same one every time, for tests that look at pictures. */

const SENSORS = [
  ['boiler_flow', 'temperature', '°C', 'Boiler room', 61.8, 6, 1, 1],
  ['boiler_return', 'temperature', '°C', 'Boiler room', 48.2, 4, 1, 1],
  ['boiler_pressure', 'pressure', 'bar', 'Boiler room', 1.62, 0.06, 2, 10],
  ['gas_meter', 'volume', 'm³', 'Boiler room', 4182.37, 0.02, 2, 30],
  ['pump_power', 'power', 'W', 'Boiler room', 38.4, 5, 1, 5],
  ['living_room', 'temperature', '°C', 'Living room', 21.4, 0.6, 1, 10],
  ['living_room', 'humidity', '%', 'Living room', 46.2, 3, 1, 10],
  ['living_room', 'co2', 'ppm', 'Living room', 812, 120, 0, 30],
  ['window_south', 'contact', '', 'Living room', 0.5, 1, 0, 25],
  ['tv_socket', 'power', 'W', 'Living room', 84.6, 14, 1, 5],
  ['fridge', 'temperature', '°C', 'Kitchen', 4.2, 1, 1, 15],
  ['kitchen', 'temperature', '°C', 'Kitchen', 22.6, 0.8, 1, 10],
  ['kitchen', 'humidity', '%', 'Kitchen', 51.3, 4, 1, 10],
  ['dishwasher', 'power', 'W', 'Kitchen', 1846, 240, 0, 5],
  ['well_level', 'level', 'm', 'Garden', 1.84, 0.02, 2, 60],
  ['soil_bed_1', 'moisture', '%', 'Garden', 31.4, 1, 1, 30],
  ['garden', 'temperature', '°C', 'Garden', -0.8, 3, 1, 30],
  ['wind_mast', 'speed', 'm/s', 'Roof', 5.3, 2.4, 1, 2],
  ['wind_mast', 'direction', '°', 'Roof', 247, 22, 0, 2],
  ['house_meter', 'power', 'W', 'Roof', -1204, 380, 0, 2],
  ['north_wing_3rd_floor_corridor_ceiling_probe_0017', 'temperature', '°C', null, 20.3, 1, 2, 10],
];

function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Lets every sensor go on at its own pace. @returns {() => void} ends it */
export function inhabit(server) {
  const timers = SENSORS.map(([id, type, , , , swing, decimals, every], n) => {
    const next = random(n * 31 + 5);
    const list = server.series.get(JSON.stringify([id, type]));
    return setInterval(() => {
      const { timestamp: _, position: __, ...last } = list.at(-1);
      const step = type === 'contact' ? 0 : (next() - 0.5) * swing * 0.2;
      server.publish({ ...last, value: Number((last.value + step).toFixed(decimals)) });
    }, every * 1000);
  });
  return () => timers.forEach(clearInterval);
}

/** Fills the server with the last hours of every sensor. */
export function furnish(server, { hours = 2, now = Date.now() } = {}) {
  SENSORS.forEach(([id, type, unit, location, base, swing, decimals, every], n) => {
    const next = random(n * 7919 + 11);
    let drift = 0;
    for (let t = now - hours * 3_600_000 + next() * every * 1000; t <= now; t += every * 1000) {
      // A stretch without readings, to see how that looks.
      if (id === 'boiler_flow' && t > now - 2_500_000 && t < now - 2_100_000) continue;
      drift += -0.05 * drift + (next() - 0.5) * 0.4;
      const wave = Math.sin(t / 700_000 + n) * 0.7;
      const open = Number(Math.sin(t / 90_000) > 0);
      const raw = type === 'contact' ? open : base + swing * (wave + drift);
      server.publish({
        sensor_id: id, sensor_type: type, unit, location,
        value: Number(raw.toFixed(decimals)),
        timestamp: new Date(t).toISOString(),
        metadata: { calibrated: true, firmware: '2.4.1', rssi: -61 },
        uncounted: n * 7013,
      }, { push: false });
    }
  });
}
