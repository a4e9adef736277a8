// Search in pages that were opened from a file system. There a browser starts no worker, in which the theme's search
// runs; a frame of the page takes its place, and has what a worker has: messages to and fro, and scripts to load.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      const inside = frame.contentWindow;
      inside.postMessageToPage = (data) => {
        const event = new MessageEvent("message", { data });
        this.dispatchEvent(event);
        this.onmessage?.(event);
      };
      // What is said before the script runs waits for it.
      this.ready = new Promise((done) => { inside.ready = done; });
      this.say = (data) => inside.dispatchEvent(new MessageEvent("message", { data }));
      inside.document.write(`<script>
        window.postMessage = postMessageToPage;
        window.importScripts = (...urls) => Promise.all(urls.map((url) => new Promise((done) => {
          const script = document.createElement("script");
          script.src = url;
          script.onload = done;
          document.body.append(script);
        })));
      <\/script><body><script src="${url}" onload="ready()"><\/script></body>`);
      inside.document.close();
    }
    postMessage(data) { this.ready.then(() => this.say(data)); }
    terminate() {}
  };
}
