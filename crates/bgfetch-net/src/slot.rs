//! The slot of an attempt, which a fetcher gives back while it looks up a host name or waits for
//! the user's permission.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bgfetch_model::ids::HostKey;
use bgfetch_model::ip_address_space::{IpAddressSpace, LocalNetworkDenied};
use tokio::sync::watch;
use url::Url;

/// The permission to use the network, which the scheduler gives to a limited number of attempts at
/// a time.
///
/// A fetcher looks up names [without holding it](Self::look_up), so that names that are never
/// answered do not hold back other attempts. By default, there is no scheduler and no wait.
#[derive(Clone, Debug, Default)]
pub struct Slot(Option<watch::Sender<State>>);

/// Whether an attempt holds its slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The attempt holds it.
    Held,
    /// The attempt gave it back to look up this host.
    Left(HostKey),
    /// The attempt waits to get it again.
    Wanted,
    /// The attempt holds it and waits for memory to decode the response's body.
    NeedMemory,
    /// The attempt gave it back until its page may reach this URL, whose address is in this space.
    NeedPermission(Url, IpAddressSpace),
}

impl Slot {
    /// A slot whose state the attempt driver follows and changes.
    pub(crate) fn new(state: watch::Sender<State>) -> Self {
        Self(Some(state))
    }

    /// Waits for the look-up of the host of `url`, without the slot if that takes time, and then
    /// for the slot. The time spent here does not count towards the attempt's [time
    /// limits](crate::attempt::Timeouts), so the look-up must have its own.
    ///
    /// # Errors
    /// The error of the look-up. Then the slot is not taken again, and the fetch must end.
    pub async fn look_up<T, E>(
        &self,
        url: &Url,
        look_up: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let Some(state) = &self.0 else { return look_up.await };
        let mut look_up = pin!(look_up);
        // If the host is known, the slot is kept.
        let at_once = poll_fn(|context| Poll::Ready(look_up.as_mut().poll(context))).await;
        if let Poll::Ready(found) = at_once {
            return found;
        }
        state.send_replace(State::Left(HostKey::of(url)));
        let found = look_up.await?;
        state.send_replace(State::Wanted);
        held(state).await;
        Ok(found)
    }

    /// Waits for memory that the fetcher needs to decode the body of the response, with the slot.
    /// The time spent here does not count towards the attempt's [time
    /// limits](crate::attempt::Timeouts), so the memory must come when other fetches end.
    pub async fn memory<T>(&self, memory: impl Future<Output = T>) -> T {
        let Some(state) = &self.0 else { return memory.await };
        let mut memory = pin!(memory);
        let at_once = poll_fn(|context| Poll::Ready(memory.as_mut().poll(context))).await;
        if let Poll::Ready(memory) = at_once {
            return memory;
        }
        state.send_replace(State::NeedMemory);
        let memory = memory.await;
        state.send_replace(State::Held);
        memory
    }

    /// Asks the embedder whether the fetch's page may reach `url`, whose address is in this less
    /// public space, and waits without the slot for the permission and then for the slot. If it is
    /// denied, the fetch is cancelled. The time spent here does not count towards the attempt's
    /// [time limits](crate::attempt::Timeouts).
    ///
    /// # Errors
    /// There is nobody to ask.
    pub async fn permission(
        &self,
        url: &Url,
        space: IpAddressSpace,
    ) -> Result<(), LocalNetworkDenied> {
        let Some(state) = &self.0 else { return Err(LocalNetworkDenied(space)) };
        state.send_replace(State::NeedPermission(url.clone(), space));
        held(state).await;
        Ok(())
    }
}

/// Waits until the attempt holds its slot again.
async fn held(state: &watch::Sender<State>) {
    let mut changes = state.subscribe();
    // The channel cannot be closed, because the slot is its sender.
    drop(changes.wait_for(|state| *state == State::Held).await);
}
