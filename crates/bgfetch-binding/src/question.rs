//! What the engine asks its host, and the answers. A question that nobody waits for any more is freed; answering it is
//! then an error without an effect.

use std::sync::Arc;

use bgfetch::embedder::{BoxFuture, Permissions, Quota};
use bgfetch::http::HeaderValue;
use bgfetch::{
    CookieContext, CookieError, CookieStore, LocalNetworkRequest, Permission, PermissionRequest,
    StorageKey,
};
use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::completion::Completion;
use crate::error::{Error, Result};
use crate::handle::{self, Handle, Kind, Object};
use crate::queue::Queue;

pub(crate) struct Question(Mutex<Option<Answer>>);

/// Where the answer goes.
enum Answer {
    Permission(oneshot::Sender<Permission>),
    LocalNetwork(oneshot::Sender<bool>),
    Quota(oneshot::Sender<u64>),
    Cookies(oneshot::Sender<Option<HeaderValue>>),
}

impl Object for Question {
    const KIND: Kind = Kind::Question;
}

/// Asks a host. `None` if there will be no answer, because the queue was closed.
async fn ask<T>(
    queue: Arc<Queue>,
    answer: impl FnOnce(oneshot::Sender<T>) -> Answer,
    ask: impl FnOnce(Handle) -> Completion,
) -> Option<T> {
    let (sender, receiver) = oneshot::channel();
    let question = Question(Mutex::new(Some(answer(sender))));
    let (token, _) = handle::insert(queue.handle, |_| question).ok()?;
    let _open = Open(token);
    queue.push(ask(token));
    receiver.await.ok()
}

/// A question that was not answered yet.
struct Open(Handle);

impl Drop for Open {
    fn drop(&mut self) {
        // It is gone if it was answered.
        drop(handle::take::<Question>(self.0));
    }
}

/// Answers a question with the part of it that `pick` takes.
fn answer<T>(
    token: Handle,
    pick: impl FnOnce(Answer) -> std::result::Result<oneshot::Sender<T>, Answer>,
    value: T,
) -> Result<()> {
    let question = handle::get::<Question>(token)?;
    let mut open = question.0.lock();
    let asked = open.take().ok_or_else(|| Error::state("the question was answered before"))?;
    match pick(asked) {
        Ok(sender) => {
            drop(open);
            drop(handle::take::<Question>(token));
            sender.send(value).map_err(|_| Error::state("nobody waits for the answer any more"))
        }
        Err(other) => {
            *open = Some(other);
            Err(Error::argument("the question is of another kind"))
        }
    }
}

/// Answers [`Completion::Permission`].
///
/// # Errors
///
/// A question of another kind, or that is no longer open.
pub fn permission(token: Handle, permission: Permission) -> Result<()> {
    let pick = |answer| match answer {
        Answer::Permission(sender) => Ok(sender),
        other => Err(other),
    };
    answer(token, pick, permission)
}

/// Answers [`Completion::LocalNetwork`]: whether the page may reach the address.
///
/// # Errors
///
/// As [`permission`].
pub fn local_network(token: Handle, granted: bool) -> Result<()> {
    let pick = |answer| match answer {
        Answer::LocalNetwork(sender) => Ok(sender),
        other => Err(other),
    };
    answer(token, pick, granted)
}

/// Answers [`Completion::Quota`] with the limit in bytes.
///
/// # Errors
///
/// As [`permission`].
pub fn quota(token: Handle, bytes: u64) -> Result<()> {
    let pick = |answer| match answer {
        Answer::Quota(sender) => Ok(sender),
        other => Err(other),
    };
    answer(token, pick, bytes)
}

/// Answers [`Completion::Cookies`] with the value of the request's `Cookie` header, or none. If the cookies of a
/// response were set, the answer says that they are stored, and its value is ignored.
///
/// # Errors
///
/// As [`permission`]; [`Code::InvalidArgument`](crate::Code::InvalidArgument) if HTTP does not allow the value.
pub fn cookies(token: Handle, value: Option<&[u8]>) -> Result<()> {
    let value = value.filter(|value| !value.is_empty()).map(HeaderValue::from_bytes).transpose();
    let value =
        value.map_err(|_| Error::argument("the value of the header Cookie is not valid"))?;
    let pick = |answer| match answer {
        Answer::Cookies(sender) => Ok(sender),
        other => Err(other),
    };
    answer(token, pick, value)
}

/// Asks a host through the queue of an engine.
#[derive(Clone)]
pub(crate) struct Asker {
    pub(crate) queue: Arc<Queue>,
    pub(crate) engine: Handle,
}

/// The permission for `fetch()`, and that for the local network: an answer, or `None` to ask the host.
pub(crate) struct AskedPermissions {
    pub(crate) asker: Asker,
    pub(crate) fetch: Option<Permission>,
    pub(crate) local_network: Option<bool>,
}

impl Permissions for AskedPermissions {
    fn query(&self, request: &PermissionRequest) -> BoxFuture<'static, Permission> {
        let (Asker { queue, engine }, request) = (self.asker.clone(), request.clone());
        if let Some(permission) = self.fetch {
            return std::future::ready(permission).boxed();
        }
        let asked = ask(queue, Answer::Permission, move |token| Completion::Permission {
            token,
            engine,
            request,
        });
        asked.map(|answer| answer.unwrap_or(Permission::Denied)).boxed()
    }

    fn local_network(&self, request: &LocalNetworkRequest) -> BoxFuture<'static, bool> {
        let (Asker { queue, engine }, request) = (self.asker.clone(), request.clone());
        if let Some(granted) = self.local_network {
            return std::future::ready(granted).boxed();
        }
        let asked = ask(queue, Answer::LocalNetwork, move |token| Completion::LocalNetwork {
            token,
            engine,
            request,
        });
        asked.map(|answer| answer.unwrap_or(false)).boxed()
    }
}

/// The quota of each storage key, or `None` to ask the host.
pub(crate) struct AskedQuota {
    pub(crate) asker: Asker,
    pub(crate) bytes: Option<u64>,
}

impl Quota for AskedQuota {
    fn limit(&self, storage_key: &StorageKey) -> BoxFuture<'static, u64> {
        let (Asker { queue, engine }, storage_key) = (self.asker.clone(), storage_key.clone());
        if let Some(bytes) = self.bytes {
            return std::future::ready(bytes).boxed();
        }
        let asked = ask(queue, Answer::Quota, move |token| Completion::Quota {
            token,
            engine,
            storage_key,
        });
        asked.map(Option::unwrap_or_default).boxed()
    }
}

/// The host's cookie store.
pub(crate) struct AskedCookies(pub(crate) Asker);

impl AskedCookies {
    fn ask(
        &self,
        context: CookieContext,
        set: Option<Vec<String>>,
    ) -> impl Future<Output = Option<Option<HeaderValue>>> + Send + use<> {
        let Asker { queue, engine } = self.0.clone();
        ask(queue, Answer::Cookies, move |token| Completion::Cookies {
            token,
            engine,
            context,
            set,
        })
    }
}

impl CookieStore for AskedCookies {
    fn cookies(
        &self,
        context: CookieContext,
    ) -> BoxFuture<'static, std::result::Result<Option<HeaderValue>, CookieError>> {
        let asked = self.ask(context, None);
        asked.map(|answer| answer.ok_or_else(|| "the host's cookie store is gone".into())).boxed()
    }

    fn set_cookies(
        &self,
        context: CookieContext,
        values: Vec<HeaderValue>,
    ) -> BoxFuture<'static, ()> {
        let text =
            |value: &HeaderValue| value.as_bytes().iter().map(|&byte| char::from(byte)).collect();
        self.ask(context, Some(values.iter().map(text).collect())).map(drop).boxed()
    }
}
