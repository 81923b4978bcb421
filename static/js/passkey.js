/* Passkeys: shown where the browser has them, and a sentence when the device gives none.

   allauth's scripts (mfa/js/) talk to the device. */
(() => {
  "use strict";
  const all = (selector) => document.querySelectorAll(selector);

  document.addEventListener("DOMContentLoaded", () => {
    if (window.PublicKeyCredential) return;
    for (const one of all("[data-passkey] button")) one.disabled = true;
    for (const one of all("[data-passkey-failed]")) one.hidden = false;
  });

  document.addEventListener("allauth.error", (event) => {
    event.preventDefault();
    for (const one of all("[data-passkey-failed]")) one.hidden = false;
  });
})();
