// https://notifications.spec.whatwg.org/: notifications that scripts show to the user. They cannot
// be clicked, so service workers get no events.
(function () {
"use strict";

const { core } = __bootstrap;
const {
  op_host_close_notification,
  op_host_notifications,
  op_host_permission,
  op_host_show_notification,
} = core.ops;
const { append, apply, define, freeze, fromJson, forEach, hasOwn, isObject, map, toJson, TypeError } =
  core.loadExtScript("ext:bgfetch_deno/primordials.js");
const {
  afterMicrotasks,
  configureInterface,
  Event,
  EventTarget,
  fire,
  parseUrl,
} = core.loadExtScript("ext:bgfetch_deno/deno.js");
const { defineEventHandler } = core.loadExtScript("ext:bgfetch_deno/event_handler.js");
const {
  boolean,
  dictionary,
  domString,
  enumeration,
  illegalInvocation,
  member,
  requiredArguments,
  requiredMember,
  sequence,
  usvString,
} = core.loadExtScript("ext:bgfetch_deno/webidl.js");
const { fromMessage, toMessage } = core.loadExtScript("ext:bgfetch_host/structured_clone.js");
const { converters } = core.loadExtScript("ext:deno_webidl/00_webidl.js");

const { now } = Date;
const create = Symbol("create");

/**
 * The maximum number of a notification's actions, of a vibration's parts, and of milliseconds per
 * part.
 */
const MAX_ACTIONS = 2;
const MAX_PARTS = 32;
const MAX_PART = 10000;

const notificationAction = dictionary("NotificationAction", [
  requiredMember("action", domString),
  member("icon", usvString),
  member("navigate", usvString),
  requiredMember("title", domString),
]);
const unsignedLong = converters["unsigned long"];
const parts = sequence(unsignedLong);
const vibratePattern = (value, prefix, context) =>
  isObject(value) ? parts(value, prefix, context) : [unsignedLong(value, prefix, context)];
const notificationOptions = dictionary("NotificationOptions", [
  member("actions", sequence(notificationAction)),
  member("badge", usvString),
  member("body", domString, ""),
  member("data", (value) => value, null),
  member("dir", enumeration("NotificationDirection", ["auto", "ltr", "rtl"]), "auto"),
  member("icon", usvString),
  member("image", usvString),
  member("lang", domString, ""),
  member("navigate", usvString),
  member("renotify", boolean, false),
  member("requireInteraction", boolean, false),
  member("silent", (value) => value === null ? null : boolean(value), null),
  member("tag", domString, ""),
  member("timestamp", converters["unsigned long long"]),
  member("vibrate", vibratePattern),
]);
const getNotificationOptions = dictionary("GetNotificationOptions", [member("tag", domString, "")]);

/** A URL of the options; null if it cannot be parsed. */
function urlOf(text) {
  if (text === undefined) return "";
  try {
    return parseUrl(text);
  } catch {
    return "";
  }
}

/** https://notifications.spec.whatwg.org/#create-a-notification */
function makeInfo(title, options, prefix) {
  if (options.silent === true && options.vibrate !== undefined) {
    throw new TypeError("A silent notification does not vibrate");
  }
  if (options.renotify && options.tag === "") {
    throw new TypeError("'renotify' is for notifications that have a tag");
  }
  const actions = [];
  forEach(options.actions ?? [], (given) => {
    if (actions.length === MAX_ACTIONS) return;
    const { action, icon, navigate, title } = given;
    append(actions, {
      __proto__: null,
      action,
      title,
      navigate: urlOf(navigate),
      icon: urlOf(icon),
    });
  });
  const vibrate = [];
  forEach(options.vibrate ?? [], (part) => {
    if (vibrate.length < MAX_PARTS) append(vibrate, part > MAX_PART ? MAX_PART : part);
  });
  return {
    __proto__: null,
    title,
    dir: options.dir,
    lang: options.lang,
    body: options.body,
    navigate: urlOf(options.navigate),
    tag: options.tag,
    image: urlOf(options.image),
    icon: urlOf(options.icon),
    badge: urlOf(options.badge),
    vibrate,
    timestamp: options.timestamp ?? now(),
    renotify: options.renotify,
    silent: options.silent,
    requireInteraction: options.requireInteraction,
    data: toMessage(options.data, undefined, prefix),
    actions,
  };
}

/** Shows a notification, and adds its number to its description. */
function show(scope, info) {
  info.id = op_host_show_notification(scope, toJson(info));
}

function permission() {
  const state = op_host_permission("notifications");
  return state === "prompt" ? "default" : state;
}

let isServiceWorker = false;

class Notification extends EventTarget {
  #info;
  /** Whether a service worker registration shows it. */
  #isPersistent;
  #sameObjects;

  constructor(title, options = undefined) {
    const restored = title === create;
    const prefix = "Failed to construct 'Notification'";
    requiredArguments(arguments.length, 1, prefix);
    if (isServiceWorker && !restored) {
      throw new TypeError(prefix + ": service workers call showNotification()");
    }
    super();
    this.#isPersistent = restored;
    if (restored) {
      this.#info = options;
    } else {
      const text = domString(title, prefix, "Argument 1");
      const converted = notificationOptions(options, prefix, "Argument 2");
      if (converted.actions !== undefined && converted.actions.length > 0) {
        throw new TypeError(prefix + ": actions are for showNotification()");
      }
      this.#info = makeInfo(text, converted, prefix);
      const granted = permission() === "granted";
      if (granted) show("", this.#info);
      afterMicrotasks(() => fire(this, new Event(granted ? "show" : "error")));
    }
    this.#sameObjects = {
      __proto__: null,
      vibrate: freeze(map(this.#info.vibrate, (part) => part)),
      data: fromMessage(this.#info.data).data,
      actions: freeze(map(this.#info.actions, (action) => freeze({ ...action }))),
    };
  }

  static get permission() {
    return permission();
  }

  static get maxActions() {
    return MAX_ACTIONS;
  }

  static async requestPermission(deprecatedCallback = undefined) {
    if (deprecatedCallback !== undefined) {
      const prefix = "Failed to execute 'requestPermission' on 'Notification'";
      converters.Function(deprecatedCallback, prefix, "Argument 1");
    }
    // The user has already decided.
    const state = permission();
    if (deprecatedCallback !== undefined) afterMicrotasks(() => apply(deprecatedCallback, undefined, [state]));
    return state;
  }

  close() {
    const { id } = this.#info;
    if (id === undefined || !op_host_close_notification(id) || this.#isPersistent) return;
    afterMicrotasks(() => fire(this, new Event("close")));
  }

  static check(object) {
    if (!(#info in object)) throw illegalInvocation();
    return object;
  }

  static memberOf(object, name) {
    const same = object.#sameObjects;
    return hasOwn(same, name) ? same[name] : object.#info[name];
  }
}
const { check, memberOf } = Notification;
delete Notification.check;
delete Notification.memberOf;
for (
  const name of [
    "title",
    "dir",
    "lang",
    "body",
    "navigate",
    "tag",
    "image",
    "icon",
    "badge",
    "vibrate",
    "timestamp",
    "renotify",
    "silent",
    "requireInteraction",
    "data",
    "actions",
  ]
) {
  const attribute = {
    get [name]() {
      return memberOf(this, name);
    },
  };
  Object.defineProperty(
    Notification.prototype,
    name,
    Object.getOwnPropertyDescriptor(attribute, name),
  );
}
for (const type of ["click", "show", "error", "close"]) {
  defineEventHandler(Notification.prototype, type, check);
}
configureInterface(Notification);

/**
 * Adds notifications to a realm. `scopeOf` returns the scope of a ServiceWorkerRegistration, and
 * throws a TypeError for other values.
 */
function installNotifications(global, kind, ServiceWorkerRegistration, scopeOf, hasActiveWorker) {
  isServiceWorker = kind === "ServiceWorker";
  // [Exposed=Window]
  if (kind !== "Window") delete Notification.requestPermission;
  const methods = {
    async showNotification(title, options = undefined) {
      const prefix = "Failed to execute 'showNotification' on 'ServiceWorkerRegistration'";
      const scope = scopeOf(this);
      requiredArguments(arguments.length, 1, prefix);
      const text = domString(title, prefix, "Argument 1");
      const info = makeInfo(text, notificationOptions(options, prefix, "Argument 2"), prefix);
      if (!hasActiveWorker(this)) {
        throw new TypeError(prefix + ": the registration has no active worker");
      }
      if (permission() !== "granted") {
        throw new TypeError(prefix + ": the permission 'notifications' is not granted");
      }
      show(scope, info);
    },

    async getNotifications(filter = undefined) {
      const prefix = "Failed to execute 'getNotifications' on 'ServiceWorkerRegistration'";
      const scope = scopeOf(this);
      const { tag } = getNotificationOptions(filter, prefix, "Argument 1");
      const infos = fromJson(op_host_notifications(scope, tag));
      return map(infos, (info) => new Notification(create, info));
    },
  };
  for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(methods))) {
    Object.defineProperty(ServiceWorkerRegistration.prototype, name, descriptor);
  }
  define(global, "Notification", Notification);
}

return { installNotifications };
})();
