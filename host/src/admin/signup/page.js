// The owner's side of Embedded Signup: Meta's window gives a code, and tells the account in a message of its own; both go
// to the gateway at once, since the code lives for 30 seconds. Then the page shows how the number comes along.
"use strict";
(() => {
  const SDK = "https://connect.facebook.net/en_US/sdk.js";
  const SDK_MS = 15_000;
  // Meta tells the account shortly before or after the code, and not with every version of the signup. The gateway can
  // find it out as well, so it is not waited for long.
  const ACCOUNT_MS = 4_000;
  const LOOK_MS = 3_000;
  const KEPT = "duet-signup";
  const ASK = "Ask those who sent you the link for a new one.";

  const at = (id) => document.getElementById(id);
  const show = (id, shown) => { at(id).hidden = !shown; };

  // Where the owner has left Meta's window, in the words of that window.
  const SCREENS = {
    BUSINESS_ACCOUNT_SELECTION: "at the choice of your business",
    WABA_PHONE_PROFILE_PICKER: "at the choice of your WhatsApp account",
    WHATSAPP_BUSINESS_PROFILE_SETUP: "at the details of your WhatsApp account",
    PHONE_NUMBER_SETUP: "at your number",
    PHONE_NUMBER_VERIFICATION: "at the code for your number",
    PERMISSIONS: "at the permissions",
  };

  const link = takeLink();
  let setup = null;
  // What has come of the window that is open.
  let attempt = null;

  // The link's secret leaves the address before any script of Meta's runs: that hands the page's address to Meta.
  function takeLink() {
    const behind = location.hash.slice(1);
    if (behind) history.replaceState(null, "", location.pathname);
    try {
      if (behind) sessionStorage.setItem(KEPT, behind);
      return behind || sessionStorage.getItem(KEPT) || "";
    } catch {
      // A browser that keeps nothing for pages: it works until the page is loaded again.
      return behind;
    }
  }

  function trouble(title, words) {
    at("trouble-title").textContent = title;
    at("trouble-words").textContent = words;
    show("trouble", true);
    at("trouble").scrollIntoView({ block: "center" });
  }

  async function call(method, body) {
    const answer = await fetch("/signup/progress", {
      method,
      headers: { authorization: `Bearer ${link}` },
      body: body && JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
      referrerPolicy: "no-referrer",
    });
    if (answer.ok) return answer.status === 204 ? {} : answer.json();
    const told = await answer.json().catch(() => null);
    throw Object.assign(new Error(told?.error?.message ?? "The gateway does not answer."), { status: answer.status });
  }

  function sentence(words) {
    const whole = words.charAt(0).toUpperCase() + words.slice(1);
    return /[.!?]$/.test(whole) ? whole : `${whole}.`;
  }

  async function open() {
    if (!link) return close("This is not the whole link", `Open it again as you got it, with all that stands behind the #. ${ASK}`);
    let seen;
    try {
      seen = await call("GET");
    } catch (error) {
      if (error.status === 404) return close("This link is no longer good", sentence(error.message));
      at("hint").textContent = "There is no answer. Trying again …";
      return void setTimeout(open, LOOK_MS);
    }
    at("business").textContent = seen.business;
    if (seen.stage !== "open") return follow();
    setup = seen.setup;
    if (seen.failed) trouble("The last try did not succeed", sentence(seen.failed));
    if (!setup) return close("The signup is not set up here", ASK);
    loadSdk();
  }

  // Nothing can be done on this page any more.
  function close(title, words) {
    show("before", false);
    show("after", false);
    show("lead", false);
    trouble(title, words);
  }

  function loadSdk() {
    const local = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
    if (location.protocol !== "https:" && !local) {
      at("hint").textContent = "";
      return trouble("This page was opened without https", "Meta's signup works over https only. Open the link with https:// in front.");
    }
    const blocked = () => {
      clearTimeout(patience);
      at("hint").textContent = "";
      trouble("Facebook's script was not loaded", "An ad blocker, a tracking protection or your network keeps it away. Switch that off for this page, or take another browser, and load the page again.");
    };
    const patience = setTimeout(blocked, SDK_MS);
    window.fbAsyncInit = () => {
      clearTimeout(patience);
      window.FB.init({ appId: setup.app_id, version: setup.version, xfbml: false, cookie: false, autoLogAppEvents: false });
      show("trouble", Boolean(!at("trouble").hidden && at("trouble-title").textContent.startsWith("The last")));
      at("hint").textContent = "Facebook opens in a window of its own.";
      at("begin").disabled = false;
    };
    const script = document.createElement("script");
    script.src = SDK;
    script.async = true;
    script.crossOrigin = "anonymous";
    script.onerror = blocked;
    document.head.append(script);
  }

  function begin() {
    show("trouble", false);
    attempt = { code: null, waba: null, ended: false, cause: null };
    const own = attempt;
    at("begin").disabled = true;
    at("hint").textContent = "Go on in Facebook's window.";
    // A window that the browser has refused to open is null; Meta's script does not tell.
    const real = window.open;
    let refused = false;
    window.open = (...given) => {
      const opened = real.apply(window, given);
      refused = !opened;
      return opened;
    };
    try {
      window.FB.login((answer) => answered(own, answer), {
        config_id: setup.config_id,
        response_type: "code",
        override_default_response_type: true,
        extras: setup.extras,
      });
    } finally {
      window.open = real;
    }
    if (refused) again(own, "Your browser did not open Facebook's window", "Allow pop-up windows for this page and try again. If you came here from within another app, open the page in Chrome, Safari or Firefox.");
  }

  function again(of, title, words) {
    if (of !== attempt || of.ended) return;
    of.ended = true;
    offer(title, words);
  }

  // The beginning once more, with the reason; what was to be read has been read.
  function offer(title, words) {
    document.body.classList.add("retry");
    at("begin").disabled = false;
    at("begin").textContent = "Start again";
    at("hint").textContent = "";
    trouble(title, words);
  }

  function fromMeta(origin) {
    try {
      const { protocol, hostname } = new URL(origin);
      return protocol === "https:" && (hostname === "facebook.com" || hostname.endsWith(".facebook.com"));
    } catch {
      return false;
    }
  }

  // What Meta's window tells of the signup, beside its answer.
  function heard(event) {
    if (!attempt || attempt.ended || !fromMeta(event.origin)) return;
    let told;
    try {
      told = typeof event.data === "string" ? JSON.parse(event.data) : event.data;
    } catch {
      return;
    }
    if (told?.type !== "WA_EMBEDDED_SIGNUP") return;
    const data = told.data ?? {};
    if (told.event === "CANCEL" || told.event === "ERROR") {
      attempt.cause = data.error_message
        ? ["Meta has reported an error", `${sentence(String(data.error_message))} Try again; if it comes back, tell Meta's support ${[data.error_id ?? data.error_code, data.session_id].filter(Boolean).join(", ") || "what you did"}.`]
        : ["The signup was not finished", `You left it ${SCREENS[data.current_step] ?? "before its end"}. Nothing has changed; start again when you are ready.`];
      if (told.event === "ERROR") again(attempt, ...attempt.cause);
      return;
    }
    if (typeof told.event !== "string" || !told.event.startsWith("FINISH")) return;
    if (told.event === "FINISH_ONLY_WABA") {
      attempt.cause = ["No number was connected", "You ended without your number. Start again, and choose to connect your WhatsApp Business app."];
      return;
    }
    if (/^[0-9]{1,32}$/.test(data.waba_id ?? "")) attempt.waba = String(data.waba_id);
    if (attempt.code) handIn(attempt);
  }

  function answered(own, answer) {
    if (own !== attempt || own.ended) return;
    const code = answer?.authResponse?.code;
    if (!code) {
      const cause = own.cause ?? ["The signup was not finished", "Facebook's window was closed before its end. Nothing has changed; start again when you are ready."];
      // The word why comes a moment after the answer at times.
      return void setTimeout(() => again(own, ...(own.cause ?? cause)), 500);
    }
    own.code = code;
    if (own.waba) return handIn(own);
    setTimeout(() => handIn(own), ACCOUNT_MS);
  }

  async function handIn(own) {
    if (own !== attempt || own.ended) return;
    if (!own.waba && own.cause) return again(own, ...own.cause);
    own.ended = true;
    working();
    try {
      await call("POST", { code: own.code, waba: own.waba });
    } catch (error) {
      if (error.status === 404) return close("This link is no longer good", sentence(error.message));
      if (error.status < 500) return back("That did not succeed", sentence(error.message));
      // No answer, or one of a proxy that did not wait for the gateway's: the next look tells what came of it.
    }
    follow();
  }

  // Back to the beginning, with a reason.
  function back(title, words) {
    beginning();
    offer(title, words);
  }

  function beginning() {
    show("after", false);
    show("before", true);
    show("lead", true);
    at("title").textContent = document.title;
  }

  function step(name, mark, words, percent) {
    const item = document.querySelector(`[data-step="${name}"]`);
    item.className = mark;
    item.querySelector("p").textContent = words ?? "";
    const bar = item.querySelector("progress");
    if (!bar) return;
    bar.hidden = typeof percent !== "number";
    bar.value = percent ?? 0;
    if (!bar.hidden) item.querySelector("p").textContent = `${percent} %. ${words}`;
  }

  function working() {
    show("trouble", false);
    show("before", false);
    show("after", true);
    at("title").textContent = "Your number is being connected";
    show("lead", false);
    step("signup", "at-work", "Meta is asked for the permission.");
    for (const name of ["number", "contacts", "history"]) step(name, "waits");
    scrollTo({ top: 0 });
  }

  // Looks again and again until nothing more will come.
  async function follow() {
    let seen;
    try {
      seen = await call("GET");
    } catch (error) {
      if (error.status === 404) return close("This page cannot show more", "What was being connected goes on by itself. Whether your number was, those who sent you the link can see.");
      return void setTimeout(follow, LOOK_MS);
    }
    if (seen.stage === "open") {
      setup = seen.setup;
      if (!window.FB) {
        beginning();
        return open();
      }
      return back("That did not succeed", sentence(seen.failed ?? "What Meta gave did not arrive here; start again"));
    }
    if (at("after").hidden) working();
    if (seen.stage === "used") tell(seen);
    if (!seen.over) setTimeout(follow, LOOK_MS);
  }

  function tell(seen) {
    step("signup", "done", "");
    for (const one of seen.steps) step(one.name, one.mark, one.words, one.percent);
    if (seen.phone) {
      document.querySelector('[data-step="number"] b').textContent = `Your number +${seen.phone}`;
    }
    if (seen.note) trouble(seen.over ? "Something is missing" : "It takes longer than usual", sentence(seen.note));
    else show("trouble", false);
    const failed = seen.note || seen.steps.some((one) => one.mark === "failed");
    if (seen.over) {
      at("title").textContent = failed ? "Your number is signed up" : "Your number is connected";
      show("open", false);
      show("done", !seen.note);
    }
  }

  window.addEventListener("message", heard);
  at("begin").addEventListener("click", begin);
  open();
})();
