/** The value under the pointer, beside it; and the same in words for screen readers. */

const box = document.getElementById('readout');
const spoken = document.getElementById('spoken');
const DISTANCE = 16;                        // pixels from the pointer

/** Shows a text near (x, y) of the window, where it stays inside. */
export function showReadout(text, x, y) {
  box.textContent = text;
  box.hidden = false;
  const { width, height } = box.getBoundingClientRect();
  const left = x + DISTANCE + width > innerWidth ? x - DISTANCE - width : x + DISTANCE;
  const top = y + DISTANCE + height > innerHeight ? y - DISTANCE - height : y + DISTANCE;
  box.style.left = `${Math.max(0, left)}px`;
  box.style.top = `${Math.max(0, top)}px`;
}

export function hideReadout() {
  box.hidden = true;
}

export function say(text) {
  spoken.textContent = text;
}

addEventListener('scroll', hideReadout, { passive: true });

/** A number with three digits that count, as 0.132 or 4.1e-5. */
export function digits(value) {
  if (value === 0) return '0';
  return Math.abs(value) < 1e-3 ? value.toExponential(1) : String(Number(value.toPrecision(3)));
}
