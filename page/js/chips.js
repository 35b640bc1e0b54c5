/** Radio buttons drawn as a row of chips. */

/**
 * Fills a fieldset.
 *
 * @param {HTMLFieldSetElement} fieldset - its id names the group
 * @param {{value: string, title: string}[]} choices
 * @param {string} chosen
 * @param {(value: string) => void} onChange
 * @returns {(value: string) => void} sets the choice without a call of onChange
 */
export function fillChips(fieldset, choices, chosen, onChange) {
  for (const { value, title } of choices) {
    const label = document.createElement('label');
    const input = document.createElement('input');
    const span = document.createElement('span');
    Object.assign(input, { type: 'radio', name: fieldset.id, value, checked: value === chosen });
    span.textContent = title;
    label.append(input, span);
    fieldset.append(label);
  }
  fieldset.addEventListener('change', (event) => onChange(event.target.value));
  return (value) => {
    fieldset.querySelector(`input[value="${value}"]`).checked = true;
  };
}
