/** From dark (nothing) to bright (the largest value), in even steps of lightness. */
const STOPS = [[22, 22, 29], [66, 30, 99], [140, 41, 110], [207, 68, 88], [245, 130, 58], [252, 205, 108], [255, 252, 220]];
const STEPS = 256;

export const COLOURS = Array.from({ length: STEPS }, (_, step) => between(step / (STEPS - 1)));

function between(share) {
  const position = share * (STOPS.length - 1);
  const before = Math.min(STOPS.length - 2, Math.floor(position));
  const rest = position - before;
  return STOPS[before].map((channel, i) => Math.round(channel + rest * (STOPS[before + 1][i] - channel)));
}

/** Red, green, blue of a share in 0 .. 1. */
export function colourOf(share) {
  return COLOURS[Math.max(0, Math.min(STEPS - 1, Math.round(share * (STEPS - 1))))];
}
