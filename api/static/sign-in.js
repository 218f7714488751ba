// The hash of the address that was asked for names a view: it goes through the form, and the browser takes it on.

const form = document.querySelector("form");
form.setAttribute("action", form.getAttribute("action") + location.hash);
