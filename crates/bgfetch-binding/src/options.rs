//! The options of an engine, in JSON.

use std::path::PathBuf;
use std::time::Duration;

use bgfetch::{Builder, Config, Limits, Permission, StoreOptions};
use serde::Deserialize;

use crate::error::{Code, Error, Result};

/// The options. Times are milliseconds. Names that are not known are errors.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Options {
    directory: Option<PathBuf>,
    ephemeral: bool,
    durability: Durability,
    pub(crate) permission: FetchPermission,
    pub(crate) local_network: Decision,
    pub(crate) quota: Option<QuotaLimit>,
    pub(crate) cookies: Cookies,
    pub(crate) network: Network,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) user_agent: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) connectivity: Connectivity,
    limits: LimitOptions,
    rate: Option<u64>,
    head_timeout: Option<u64>,
    stall_timeout: Option<u64>,
    dispatch_timeout: Option<u64>,
    event_timeout: Option<u64>,
    progress_interval: Option<u64>,
    retry_delay: Option<u64>,
    max_running_time: Option<u64>,
    pause_on_metered: bool,
    keep_bad_status_bodies: bool,
}

/// What survives a loss of power.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Durability {
    #[default]
    Power,
    Process,
}

/// The permission for `fetch()`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FetchPermission {
    #[default]
    Granted,
    StartPaused,
    Denied,
    Ask,
}

impl FetchPermission {
    pub(crate) const fn answer(self) -> Option<Permission> {
        match self {
            Self::Granted => Some(Permission::Granted),
            Self::StartPaused => Some(Permission::StartPaused),
            Self::Denied => Some(Permission::Denied),
            Self::Ask => None,
        }
    }
}

/// Whether pages may access the local network.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Decision {
    Granted,
    #[default]
    Denied,
    Ask,
}

impl Decision {
    pub(crate) const fn answer(self) -> Option<bool> {
        match self {
            Self::Granted => Some(true),
            Self::Denied => Some(false),
            Self::Ask => None,
        }
    }
}

/// How many bytes a storage key may use.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum QuotaLimit {
    Bytes(u64),
    Asked(Ask),
}

/// The host is asked.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ask {
    Ask,
}

/// The cookie store.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Cookies {
    #[default]
    None,
    Memory,
    Ask,
}

/// The network stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Network {
    #[default]
    Own,
    Host,
}

/// Through which proxies requests go.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Proxy {
    Environment(Environment),
    List(Vec<String>),
}

/// As the variables of the environment say.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Environment {
    Environment,
}

/// Who knows whether the network is available.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Connectivity {
    #[default]
    System,
    Manual,
}

/// How many attempts may run at once.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LimitOptions {
    sites: Option<u32>,
    total: Option<u32>,
    per_host: Option<u32>,
    per_host_multiplexed: Option<u32>,
    look_ups: Option<u32>,
}

impl From<LimitOptions> for Limits {
    fn from(options: LimitOptions) -> Self {
        let set = |limit: &mut u32, option: Option<u32>| *limit = option.unwrap_or(*limit);
        Self::default().with(|it| {
            set(&mut it.sites, options.sites);
            set(&mut it.total, options.total);
            set(&mut it.per_host, options.per_host);
            set(&mut it.per_host_multiplexed, options.per_host_multiplexed);
            set(&mut it.look_ups, options.look_ups);
        })
    }
}

impl Options {
    /// A builder with all options that need nothing of the host.
    pub(crate) fn builder(&self) -> Result<Builder> {
        let builder = bgfetch::Engine::builder();
        let durability = match self.durability {
            Durability::Power => bgfetch::Durability::Power,
            Durability::Process => bgfetch::Durability::Process,
        };
        let builder = match &self.directory {
            Some(_) if self.ephemeral => {
                return Err(Error::argument("an ephemeral engine has no directory"));
            }
            Some(directory) => {
                builder.directory_with(directory, StoreOptions::default().durability(durability))
            }
            None if self.ephemeral => builder.ephemeral(),
            None => {
                let message = "the engine needs a directory, or to be ephemeral";
                return Err(Error::new(Code::NoStore, message));
            }
        };
        let set = |time: &mut Duration, option: Option<u64>| {
            *time = option.map_or(*time, Duration::from_millis);
        };
        let timeouts = bgfetch::Timeouts::default().with(|it| {
            set(&mut it.head, self.head_timeout);
            set(&mut it.stall, self.stall_timeout);
        });
        let event_timeouts = bgfetch::EventTimeouts::default().with(|it| {
            set(&mut it.start_and_dispatch, self.dispatch_timeout);
            set(&mut it.lifetime, self.event_timeout);
        });
        let configure = |it: &mut Config| {
            set(&mut it.progress_interval, self.progress_interval);
            // The same for all reasons, also for a host that cannot be reached.
            set(&mut it.retry.interrupted.base, self.retry_delay);
            set(&mut it.retry.server_error.base, self.retry_delay);
            set(&mut it.retry.never_reached.base, self.retry_delay);
            it.max_running_time = self.max_running_time.map(Duration::from_millis);
            it.pause_on_metered = self.pause_on_metered;
            it.keep_bad_status_bodies = self.keep_bad_status_bodies;
        };
        Ok(builder
            .limits(self.limits.into())
            .rate(self.rate)
            .timeouts(timeouts)
            .event_timeouts(event_timeouts)
            .configure(configure))
    }
}
