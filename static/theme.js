// Runs before the first paint (no module), so that a chosen theme never flashes.
(() => {
  try {
    const chosen = localStorage.getItem('streamgauge-theme');
    if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
  } catch {
    // Storage is forbidden: the system's colours it is.
  }
})();
