/**
 * Background Fetch for programs: the interfaces of https://wicg.github.io/background-fetch/, where the
 * page and its service worker are both the program, and what goes beyond them.
 */

/** How an engine is opened. It needs a `directory`, or to be `ephemeral`. Times are milliseconds. */
export interface EngineOptions {
  /** The folder of the store, which is made if it is missing. One engine uses it at a time. */
  directory?: string;
  /** Leaves nothing behind. Default: false. */
  ephemeral?: boolean;
  /** What survives a loss of power (the default), or only the end of the process. */
  durability?: "power" | "process";
  /**
   * The permission for `fetch()`, or a function that is asked for each call. If it throws, the
   * permission is denied. Default: "granted".
   */
  permission?: Permission | ((request: PermissionRequest) => Permission | Promise<Permission>);
  /** Whether pages may access the local network; the program always may. Default: "denied". */
  localNetwork?: "granted" | "denied";
  /** How many bytes a storage key may use, or a function that is asked. Default: no limit. */
  quota?: number | ((storageKey: string) => number | Promise<number>);
  /** Whether cookies are kept in memory while the engine is open. Default: "none". */
  cookies?: "none" | "memory";
  /** The proxies of the environment, or URLs of proxies in order of preference. Default: none. */
  proxy?: "environment" | string[];
  /** The header `User-Agent`. Default: `bgfetch/VERSION`. */
  userAgent?: string;
  /** Headers that are added to each request that has none of the name. */
  headers?: HeadersInit;
  /** Who knows whether the network is available: the system, or `setOnline()`. Default: "system". */
  connectivity?: "system" | "manual";
  /** How many requests may run at once. */
  limits?: {
    sites?: number;
    total?: number;
    perHost?: number;
    perHostMultiplexed?: number;
    lookUps?: number;
  };
  /** The most bytes per second of all fetches together. Default: no limit. */
  rate?: number;
  /** How long a request may wait for the head of its response. */
  headTimeout?: number;
  /** How long a request may wait for more bytes. */
  stallTimeout?: number;
  /** How long the listeners of an event may run. */
  dispatchTimeout?: number;
  /** How long an event may be extended. */
  eventTimeout?: number;
  /** The shortest time between two `progress` events of a fetch. Default: 50. */
  progressInterval?: number;
  /** The upper bound of the first delay before a request is made again. */
  retryDelay?: number;
  /** How long the requests of a fetch may run in all. Default: no limit. */
  maxRunningTime?: number;
  /** Whether fetches wait while the network is metered. Default: false. */
  pauseOnMetered?: boolean;
  /** Whether the bodies of responses whose status is not ok can be read. Default: true. */
  keepBadStatusBodies?: boolean;
}

/** The answer to a call of `fetch()`: with "start-paused", it waits for `engine.resume()`. */
export type Permission = "granted" | "start-paused" | "denied";

/** What a permission is asked for. */
export interface PermissionRequest {
  scope: string;
  id: string;
  title: string;
  downloadTotal: number;
  urls: string[];
}

/**
 * Opens an engine. From then on it continues what an earlier one left.
 *
 * Errors of the store have a `code`, such as "store-in-use", "store-damaged" or "disk-full".
 */
export function openEngine(options: EngineOptions): Promise<Engine>;

/** A store, and the fetches in it. It does not keep the process alive, except between `ref()` and `unref()`. */
export class Engine implements AsyncDisposable {
  private constructor();
  /** Settles when the engine has ended; rejected if it stopped because of a failure. */
  readonly closed: Promise<void>;
  /**
   * Registers a service worker registration, as must be done at each start for each one that exists.
   * Its events are held until its `start()`.
   */
  register(scope: string | URL, options?: RegisterOptions): Promise<Registration>;
  /** The fetches that are active, or finished and not dismissed. */
  jobs(): Promise<Job[]>;
  /** Pauses a fetch. One that uploads cannot be paused. */
  pause(job: Pick<Job, "key">): Promise<void>;
  /** Resumes a fetch that was paused, or started paused. */
  resume(job: Pick<Job, "key">): Promise<void>;
  /** Aborts a fetch. Resolves with whether it was still active. */
  abort(job: Pick<Job, "key">): Promise<boolean>;
  /** The user activated the fetch: fires `backgroundfetchclick`. */
  click(job: Pick<Job, "key">): Promise<void>;
  /** Removes a finished fetch from the list, or gives up one whose event waits. */
  dismiss(job: Pick<Job, "key">): Promise<void>;
  /** Changes the most bytes per second of all fetches together; null for no limit. */
  setRate(rate: number | null): Promise<void>;
  /** Deletes all registrations of a storage key, with their fetches and bytes. */
  clear(storageKey: string): Promise<void>;
  /** Says whether the network is available, and whether it costs. For manual connectivity. */
  setOnline(online: boolean, options?: { metered?: boolean }): void;
  /** Keeps the process alive until `unref()` or the end of the engine. */
  ref(): void;
  unref(): void;
  /** Ends the engine. Its fetches continue when the store is opened again. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface RegisterOptions {
  /**
   * For whom fetches are made: the user, for whom CORS and similar checks do not apply, or a page at
   * the scope. Default: "user".
   */
  principal?: "user" | "page";
  /** Whose data it is. Default: the origin of the scope. */
  storageKey?: string;
}

/** A background fetch as a user sees it. */
export interface Job {
  /** Its identity in this store. */
  readonly key: number;
  readonly id: string;
  readonly scope: string;
  readonly origin: string;
  readonly title: string;
  readonly icons: readonly ImageResource[];
  readonly downloaded: number;
  readonly downloadTotal: number;
  readonly uploaded: number;
  readonly uploadTotal: number;
  /** Whether it is over; what remains is to tell its event or to dismiss it. */
  readonly over: boolean;
  readonly pausable: boolean;
  readonly dismissible: boolean;
  /** Whether requests are running. */
  readonly usesBandwidth: boolean;
  /** Why it waits, or null. */
  readonly pauseReason: string | null;
  /** How it ended, or null. */
  readonly result: string | object | null;
  /** Its requests; none once it has finished. */
  readonly records: readonly JobRecord[];
}

export interface JobRecord {
  readonly method: string;
  readonly url: string;
  readonly inFlight: boolean;
  readonly stored: number;
  readonly length: number | null;
  readonly status: number | null;
  readonly result: string | object | null;
}

/** A service worker registration, which is also the target of its worker's events. */
export class Registration extends EventTarget {
  private constructor();
  readonly scope: string;
  readonly backgroundFetch: BackgroundFetchManager;
  onbackgroundfetchsuccess: Handler<BackgroundFetchUpdateUIEvent>;
  onbackgroundfetchfail: Handler<BackgroundFetchUpdateUIEvent>;
  onbackgroundfetchabort: Handler<BackgroundFetchEvent>;
  onbackgroundfetchclick: Handler<BackgroundFetchEvent>;
  /** Fires the events that were held, and those that follow. Add the listeners before. */
  start(): Promise<void>;
  /** Ends its fetches without events, and deletes their bytes. */
  unregister(): Promise<void>;
  addEventListener<T extends keyof RegistrationEvents>(
    type: T,
    listener: (this: Registration, event: RegistrationEvents[T]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

type Handler<E> = ((this: Registration, event: E) => unknown) | null;

export interface RegistrationEvents {
  backgroundfetchsuccess: BackgroundFetchUpdateUIEvent;
  backgroundfetchfail: BackgroundFetchUpdateUIEvent;
  backgroundfetchabort: BackgroundFetchEvent;
  backgroundfetchclick: BackgroundFetchEvent;
}

/** https://wicg.github.io/background-fetch/#background-fetch-manager. URLs have no base: they are absolute. */
export class BackgroundFetchManager {
  private constructor();
  fetch(
    id: string,
    requests: RequestInfo | Iterable<RequestInfo>,
    options?: BackgroundFetchOptions,
  ): Promise<BackgroundFetchRegistration>;
  get(id: string): Promise<BackgroundFetchRegistration | undefined>;
  getIds(): Promise<string[]>;
}

export interface ImageResource {
  src: string;
  sizes?: string;
  type?: string;
  label?: string;
}

export interface BackgroundFetchUIOptions {
  icons?: Iterable<ImageResource>;
  title?: string;
}

export interface BackgroundFetchOptions extends BackgroundFetchUIOptions {
  /** The most bytes that all responses together may have; 0 for no promise. */
  downloadTotal?: number;
}

export type BackgroundFetchFailureReason =
  | ""
  | "aborted"
  | "bad-status"
  | "fetch-error"
  | "quota-exceeded"
  | "download-total-exceeded";

/** https://wicg.github.io/background-fetch/#background-fetch-registration */
export class BackgroundFetchRegistration extends EventTarget {
  private constructor();
  readonly id: string;
  readonly uploadTotal: number;
  readonly uploaded: number;
  readonly downloadTotal: number;
  readonly downloaded: number;
  readonly result: "" | "success" | "failure";
  readonly failureReason: BackgroundFetchFailureReason;
  readonly recordsAvailable: boolean;
  onprogress: ((this: BackgroundFetchRegistration, event: Event) => unknown) | null;
  abort(): Promise<boolean>;
  match(request: RequestInfo, options?: MatchOptions): Promise<BackgroundFetchRecord | undefined>;
  matchAll(request?: RequestInfo, options?: MatchOptions): Promise<BackgroundFetchRecord[]>;
}

export interface MatchOptions {
  ignoreMethod?: boolean;
  ignoreSearch?: boolean;
  ignoreVary?: boolean;
}

/** https://wicg.github.io/background-fetch/#background-fetch-record-interface */
export class BackgroundFetchRecord {
  private constructor();
  readonly request: Request;
  /** Resolves when the head of the response has arrived. Its body streams while bytes come. */
  readonly responseReady: Promise<Response>;
  /**
   * Makes the complete body a file, which must not exist yet. With `link`, it is a hard link to the
   * stored body where the file system has them, so nothing is copied. Use that for a body that will
   * not be read through the record any more.
   */
  exportTo(path: string | URL, options?: { link?: boolean }): Promise<void>;
}

/** https://w3c.github.io/ServiceWorker/#extendableevent-interface */
export class ExtendableEvent extends Event {
  constructor(type: string, init?: EventInit);
  /** The records stay available until the promise settles. */
  waitUntil(promise: unknown): void;
}

export interface BackgroundFetchEventInit extends EventInit {
  registration: BackgroundFetchRegistration;
}

/** https://wicg.github.io/background-fetch/#background-fetch-event */
export class BackgroundFetchEvent extends ExtendableEvent {
  constructor(type: string, init: BackgroundFetchEventInit);
  readonly registration: BackgroundFetchRegistration;
}

/** https://wicg.github.io/background-fetch/#background-fetch-update-ui-event */
export class BackgroundFetchUpdateUIEvent extends BackgroundFetchEvent {
  updateUI(options?: BackgroundFetchUIOptions): Promise<void>;
}
