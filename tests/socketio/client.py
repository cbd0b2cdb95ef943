"""A client of the predecessor in Python: python-socketio, unchanged.

client.py URL TOKEN MQTT_PORT PID TRANSPORT[,TRANSPORT]: asks for everything, then stops the server.
"""

import json
import os
import queue
import re
import signal
import subprocess
import sys

import socketio

URL, TOKEN, MQTT, PID, TRANSPORTS = sys.argv[1:]
WAIT = 10


class Listener:
    """Keeps what a client hears."""

    def __init__(self):
        self.client = socketio.Client(reconnection=False)
        self.events = queue.Queue()
        for event in [
            'status', 'sensor_update', 'sensor_stats', 'sensor_history', 'error',
            'connect_error', 'disconnect',
        ]:
            self.client.on(event, self.note(event))

    def note(self, event):
        return lambda *data: self.events.put((event, data[0] if data else None))

    def connect(self, query='', **options):
        self.client.connect(URL + query, transports=TRANSPORTS.split(','), **options)
        return self

    def heard(self, event):
        while True:
            name, data = self.events.get(timeout=WAIT)
            if name == event:
                return data


def publish(topic, message):
    to = ['mosquitto_pub', '-h', '127.0.0.1', '-p', MQTT, '-q', '1']
    subprocess.run([*to, '-t', topic, '-m', json.dumps(message)], check=True)


def refused(reason, query='', **options):
    listener = Listener()
    try:
        listener.connect(query, **options)
    except socketio.exceptions.ConnectionError:
        said = json.dumps(listener.heard('connect_error'))
        assert reason in said, said
        return
    raise AssertionError('it was let in')


refused('API token')
refused('API token', auth={'token': 'wrong'})
refused('API token', query='?token=wrong')
# A handshake that is refused has no words of the server's.
refused('', auth={'token': TOKEN}, headers={'Origin': 'http://evil.example'})

by_query = Listener().connect(query='?token=' + TOKEN)
by_query.heard('status')
by_query.client.disconnect()

large = Listener().connect(auth={'token': TOKEN})
large.heard('status')
large.client.emit('subscribe', {'sensors': ['x' * (17 << 10)]})
error = large.heard('error')
assert error['reason'] == 'event_too_large', error
assert error['message'].endswith('as it is sent; allowed: 16384'), error
large.heard('disconnect')

listener = Listener().connect(auth={'token': TOKEN})
assert listener.heard('status')['message'] == 'connected'
sensor = 'python-' + TRANSPORTS.replace(',', '-')
publish(f'sensors/{sensor}/temperature', {'value': 21.5, 'unit': '°C'})
update = listener.heard('sensor_update')
assert set(update) == {
    'sensor_id', 'sensor_type', 'value', 'unit', 'timestamp', 'location', 'metadata', 'position',
}, update
assert (update['sensor_id'], update['value'], update['unit']) == (sensor, 21.5, '°C'), update
assert re.fullmatch(r'\d+:\d+-\d+\.\d+', update['position']), update
rows = []
while not rows:
    # Twenty events a second may be sent.
    listener.client.sleep(0.1)
    listener.client.emit('request_all_stats')
    stats = listener.heard('sensor_stats')
    rows = [row for row in stats['sensors'] if row['sensor_id'] == sensor]
assert rows[0]['count'] == 1, rows
listener.client.emit('request_sensor_data', {'sensor_id': sensor, 'hours': 24})
history = listener.heard('sensor_history')
assert [row['value'] for row in history['readings']] == [21.5], history
listener.client.emit('request_sensor_data', {'sensor_id': 5})
assert 'request_sensor_data' in listener.heard('error')['message']
listener.client.emit('dance', 'now')
assert 'dance' in listener.heard('error')['message']
assert listener.client.call('request_all_stats', timeout=WAIT)['sensors']
assert listener.client.connected
os.kill(int(PID), signal.SIGTERM)
listener.heard('disconnect')
