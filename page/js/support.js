/** What this page needs of a browser. */

/** A module with one function, which returns a vector of sixteen zeros: valid only where there is SIMD. */
const SIMD_MODULE = new Uint8Array([
  0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,                              // magic, version
  1, 5, 1, 0x60, 0, 1, 0x7b,                                    // type: () -> v128
  3, 2, 1, 0,                                                   // one function of that type
  10, 8, 1, 6, 0, 0x41, 0, 0xfd, 0x0f, 0x0b,                    // i32.const 0, i8x16.splat, end
]);

/** A sentence about what the browser lacks, or '' if it has all that the page needs. */
export function lacking(scope = globalThis) {
  if (typeof scope.WebAssembly !== 'object') {
    return 'This browser has no WebAssembly (or it is switched off), which the networks need. ' +
      'Any Chrome, Edge, Firefox or Safari since 2023 has it.';
  }
  if (!scope.WebAssembly.validate(SIMD_MODULE)) {
    return 'The WebAssembly of this browser has no SIMD, which the networks need. ' +
      'Any Chrome, Edge, Firefox or Safari since 2023 has it.';
  }
  if (typeof scope.DecompressionStream !== 'function' || typeof scope.Worker !== 'function') {
    return 'This browser is too old for this page. Any Chrome, Edge, Firefox or Safari since 2023 will do.';
  }
  return '';
}
