//! The slot of an attempt, and how a fetcher does without it while a host's name is looked up.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bgfetch_model::ids::HostKey;
use tokio::sync::watch;
use url::Url;

/// The permission to use the network, which the scheduler gives to so many attempts at a time.
///
/// A fetcher looks names up [outside of it](Self::look_up), so that those that nobody answers for hold
/// back nobody else. By default there is no scheduler, and nothing to wait for.
#[derive(Clone, Debug, Default)]
pub struct Slot(Option<watch::Sender<State>>);

/// Whether an attempt holds its slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It does.
    Held,
    /// It looks this host up.
    Left(HostKey),
    /// It waits to hold it again.
    Wanted,
}

impl Slot {
    /// A slot whose state the attempt driver follows and changes.
    pub(crate) fn new(state: watch::Sender<State>) -> Self {
        Self(Some(state))
    }

    /// Waits for the look-up of `url`'s host, without the slot where that takes time, and then for the
    /// slot. The time spent here counts for none of the attempt's [time
    /// limits](crate::attempt::Timeouts), so the look-up must have one of its own.
    ///
    /// # Errors
    /// What the look-up failed with. Then the slot is not taken again, and the fetch must end.
    pub async fn look_up<T, E>(
        &self,
        url: &Url,
        look_up: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let Some(state) = &self.0 else { return look_up.await };
        let mut look_up = pin!(look_up);
        // A host that is known costs no turn.
        let at_once = poll_fn(|context| Poll::Ready(look_up.as_mut().poll(context))).await;
        if let Poll::Ready(found) = at_once {
            return found;
        }
        state.send_replace(State::Left(HostKey::of(url)));
        let found = look_up.await?;
        state.send_replace(State::Wanted);
        let mut changes = state.subscribe();
        // It cannot be closed, since this slot is its sender.
        drop(changes.wait_for(|state| *state == State::Held).await);
        Ok(found)
    }
}
