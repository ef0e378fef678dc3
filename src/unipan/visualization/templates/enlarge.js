// A picture that is clicked opens as large as the window allows. Arrow keys and buttons lead to its neighbours; Escape,
// the button and a click beside the picture close it.
"use strict";

{
  const make = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const control = (label, sign, act) => {
    const button = make("button", { type: "button", title: label, textContent: sign });
    button.setAttribute("aria-label", label);
    button.addEventListener("click", act);
    return button;
  };

  const OPENERS = "figure button, a.enlarge";
  const isShown = (element) => element.getClientRects().length > 0;
  let [shown, at] = [[], 0];
  const picture = make("img", {});
  const [caption, place] = [make("p", { id: "enlarged-caption" }), make("span", {})];
  const back = control("previous picture", "←", () => show(at - 1));
  const onward = control("next picture", "→", () => show(at + 1));
  const close = control("close", "×", () => dialog.close());
  const dialog = make("dialog", { id: "enlarged" }, make("div", {}, back, onward, place, close), picture, caption);
  dialog.setAttribute("aria-labelledby", caption.id);

  function show(index) {
    at = (index + shown.length) % shown.length;
    const opener = shown[at], image = opener.querySelector("img");
    const detail = opener.closest("figure")?.querySelector("figcaption").lastChild.textContent.trim();
    [picture.src, picture.alt] = [opener.href ?? image.src, image.alt];
    caption.textContent = detail ? `${image.alt}. ${detail}` : image.alt;
    place.textContent = `${at + 1} of ${shown.length}`;
    back.disabled = onward.disabled = shown.length < 2;
  }

  dialog.addEventListener("click", (event) => [dialog, picture].includes(event.target) && dialog.close());
  dialog.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) show(at + step);
  });
  dialog.addEventListener("close", () => shown[at].focus()); // where one has looked last, not where one began
  document.addEventListener("click", (event) => {
    const opener = event.target.closest(OPENERS);
    if (!opener || event.ctrlKey || event.metaKey || event.shiftKey) return; // a link opens in a tab of its own, then
    event.preventDefault();
    shown = [...document.querySelectorAll(OPENERS)].filter(isShown);
    show(shown.indexOf(opener));
    document.body.append(dialog);
    dialog.showModal();
    close.focus();
  });
}
