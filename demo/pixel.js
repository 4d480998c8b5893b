// Runs when the part of the page is there. Its buttons, and clicks on the picture (script.js), become one event.
const send = (what) => trigger("click", what);
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-do]");
  if (button) send(JSON.parse(button.dataset.do));
});
element.addEventListener("change", (event) => {
  if (event.target.type === "color") send({do: "choose", colour: event.target.value});
});
element.addEventListener("ask", (event) => send({do: "ask", ...event.detail}));
