// Missing from Gradio's components: names and keys for visitors without a mouse, and marks on pictures that wait.
// `EXAMPLES` is set by words.py.
(() => {
  const SMALL_STEP = 2, LARGE_STEP = 10; // per cent of the picture
  const PHOTOS = {"#photo": "Your photograph", "#reference": "Another photograph"};
  const DIALS = {"#strength": "Strength", "#saturation": "Saturation"};

  const name = (element, text) => {
    if (element && element.getAttribute("aria-label") !== text) element.setAttribute("aria-label", text);
  };

  // The value of a control: the number of a slider, or the text of a list.
  const setting = (id) => {
    const number = document.querySelector(`#${id} input[type=number]`);
    return number ? Number(number.value) : document.querySelector(`#${id} input`)?.value;
  };

  // A caption holds the settings of its picture. While the controls have other values, the picture waits.
  const markWaiting = () => {
    for (const caption of document.querySelectorAll(".caption[data-painted]")) {
      const painted = Object.entries(JSON.parse(caption.dataset.painted));
      const panel = caption.dataset.of ? document.querySelector(caption.dataset.of) : caption.closest(".column");
      if (!panel) continue;
      const changed = painted.some(([id, value]) => setting(id) !== undefined && setting(id) !== value);
      // Until the new picture has arrived, the browser shows the old one.
      const waits = changed || [...panel.querySelectorAll("img")].some((image) => !image.complete);
      panel.toggleAttribute("data-waiting", waits);
      panel.setAttribute("aria-busy", changed); // not for a picture out of sight, which arrives when it is scrolled to
    }
  };

  const nameAll = () => {
    document.querySelectorAll("#choices .gallery-item").forEach((item, number) => {
      name(item, EXAMPLES[number]);
      item.title = EXAMPLES[number];
    });
    for (const button of document.querySelectorAll("[id^=panel-] > button")) {
      const caption = button.parentElement.querySelector(".caption");
      if (caption) name(button, `${button.textContent.trim()}: ${caption.dataset.name}`);
    }
    for (const [box, text] of Object.entries(PHOTOS)) {
      const photo = document.querySelector(`${box} .image-frame img`);
      if (photo) photo.alt = text;
    }
    // Gradio gives each box and each dial the same words.
    for (const [box, text] of Object.entries({...PHOTOS, ...DIALS})) {
      for (const button of document.querySelectorAll(`${box} button[aria-label]`)) {
        const label = button.getAttribute("aria-label");
        if (!label.endsWith(text)) name(button, `${label}: ${text}`);
      }
    }
    const status = document.getElementById("status");
    status?.setAttribute("role", "status");
    status?.setAttribute("aria-live", "polite");
    for (const [slider, method] of [["#example-slider", "an example"], ["#slider", `by ${setting("compared")}`]]) {
      const [before, after] = document.querySelectorAll(`${slider} img`);
      if (!after) continue;
      before.alt = "Before, grayscale";
      after.alt = `After, ${method}`;
    }
  };

  // The handle between before and after. Gradio moves it by mouse only, and places it in pixels of the box around both.
  const HANDLE = ".slider [data-testid=slider]";
  const span = (handle) => {
    const box = handle.parentElement.getBoundingClientRect();
    const image = handle.parentElement.querySelector("img");
    const content = image.parentElement.getBoundingClientRect();
    const ratio = image.naturalWidth / image.naturalHeight;
    const width = Math.min(content.width, content.height * ratio);
    return {box: box.left, left: (content.width - width) / 2, width};
  };
  const cut = (handle) => {
    const {left, width} = span(handle);
    return Math.min(100, Math.max(0, (100 * (new DOMMatrix(handle.style.transform).e - left)) / width));
  };
  const describeHandle = (handle) => {
    if (!handle.parentElement.querySelector("img")?.naturalWidth) return;
    const share = Math.round(cut(handle));
    const attributes = {
      role: "slider",
      tabindex: 0,
      "aria-label": "Before and after",
      "aria-valuemin": 0,
      "aria-valuemax": 100,
      "aria-valuenow": share,
      "aria-valuetext": `${share} % before, ${100 - share} % after`,
    };
    for (const [key, value] of Object.entries(attributes)) handle.setAttribute(key, value);
  };
  document.addEventListener("keydown", (event) => {
    const handle = event.target.closest?.(HANDLE);
    if (!handle || event.ctrlKey || event.altKey || event.metaKey) return;
    const share = cut(handle);
    const target = {
      ArrowLeft: share - SMALL_STEP,
      ArrowDown: share - SMALL_STEP,
      ArrowRight: share + SMALL_STEP,
      ArrowUp: share + SMALL_STEP,
      PageDown: share - LARGE_STEP,
      PageUp: share + LARGE_STEP,
      Home: 0,
      End: 100,
    }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    const {box, left, width} = span(handle);
    const place = {clientX: box + left + (width * Math.min(100, Math.max(0, target))) / 100, view: window};
    handle.dispatchEvent(new MouseEvent("mousedown", place));
    window.dispatchEvent(new MouseEvent("mouseup", place));
  });

  let asked = false;
  const refresh = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      nameAll();
      document.querySelectorAll(HANDLE).forEach(describeHandle);
      markWaiting();
    });
  };
  const watch = () => {
    const what = {childList: true, subtree: true, characterData: true, attributeFilter: ["src", "style"]};
    new MutationObserver(refresh).observe(document.body, what);
    for (const event of ["input", "change", "resize"]) window.addEventListener(event, refresh, true);
    document.addEventListener("load", refresh, true); // of pictures: these never reach the window
    refresh();
  };
  document.body ? watch() : document.addEventListener("DOMContentLoaded", watch);
})();
