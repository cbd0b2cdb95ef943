/** Drawing happens once per animation frame, never once per event. */

/**
 * @param {() => void} draw
 * @returns {() => void} asks for one `draw` in the next frame; asking twice is asking once
 */
export function perFrame(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}
