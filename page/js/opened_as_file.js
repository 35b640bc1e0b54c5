/* Browsers do not load modules from file: addresses; this classic script is the only one that runs there. */
if (location.protocol === 'file:') {
  document.getElementById('loading-text').textContent =
    'Opened as a file, this page cannot load its networks. In its folder run python3 -m http.server ' +
    'and open http://localhost:8000.';
  document.getElementById('loading-text').className = 'message problem';
  document.getElementById('loading-bar').hidden = true;
}
