// A picture that is clicked opens as large as the window; a click or Escape closes it.
"use strict";

{
  const dialog = document.createElement("dialog");
  const [picture, caption] = [document.createElement("img"), document.createElement("p")];
  dialog.append(picture, caption);
  dialog.addEventListener("click", () => dialog.close());
  for (const button of document.querySelectorAll("figure button")) {
    button.addEventListener("click", () => {
      const image = button.firstElementChild;
      [picture.src, picture.alt] = [image.src, image.alt];
      caption.textContent = `${image.alt}. ${button.nextElementSibling.lastChild.textContent.trim()}`;
      document.body.append(dialog);
      dialog.showModal();
    });
  }
}
