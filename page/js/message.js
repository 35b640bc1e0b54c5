/** The page's one line of messages. */

const element = document.getElementById('message');

/** Shows a text instead of the last; '' hides it. */
export function showMessage(text, isProblem = false) {
  element.textContent = text;
  element.hidden = text === '';
  element.classList.toggle('problem', isProblem);
}
