// Browsers give no worker to a page that is opened from a folder. There, the search runs in a hidden frame instead.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      this.waiting = [];
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.addEventListener("load", () => {
        this.inside = frame.contentWindow;
        this.inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
        const script = frame.contentDocument.createElement("script");
        script.src = address;
        script.addEventListener("load", () => {
          const waiting = this.waiting;
          this.waiting = undefined;
          waiting.forEach((data) => this.postMessage(data));
        });
        frame.contentDocument.body.append(script);
      }, { once: true });
      frame.srcdoc = "<!doctype html><title>search</title>";
      document.body.append(frame);
    }

    postMessage(data) {
      if (this.waiting) this.waiting.push(data);
      else this.inside.dispatchEvent(new MessageEvent("message", { data }));
    }
  };
}
