// The address holds the view, so that it can be sent: #track=core&sort=seconds&group=memory. What is as usual is left out.
const address = (() => {
  const read = () => new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
  let state = read();
  const text = () => state.toString().replaceAll("%2C", ",").replaceAll("%2F", "/");
  addEventListener("hashchange", () => {
    if (!location.hash.includes("=") && location.hash.length > 1) return; // a link within the page
    state = read();
    dispatchEvent(new Event("view"));
  });
  return {
    get: (name) => state.get(name) ?? "",
    set(name, value) {
      if (value) state.set(name, value);
      else state.delete(name);
      history.replaceState(null, "", `#${text()}`);
    },
    // Another track has other tasks and rows: nothing else of a view holds there.
    only(name, value) {
      state = new URLSearchParams(value ? { [name]: value } : {});
      history.replaceState(null, "", `#${text()}`);
    },
  };
})();
