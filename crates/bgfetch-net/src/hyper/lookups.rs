//! Name look-ups, which are made before a connection is requested. Their number per network
//! partition is bounded, each has a time limit, and answers are cached for a while.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::resolve::Resolve;
use crate::partition::{Partition, Partitioned};

/// The most concurrent look-ups of one partition. Further ones of it wait; those of others do not.
const AT_ONCE: usize = 32;

/// How long an answer is used: the same as in browsers if the system does not report a time to
/// live.
const REMEMBERED: Duration = Duration::from_secs(60);

/// How many answers are cached for a partition. Evicting one costs a look-up.
const MOST_REMEMBERED: usize = 256;

type Addresses = Arc<[IpAddr]>;
type LookUp = BoxFuture<'static, Result<Addresses, NotResolved>>;

/// All look-ups of a fetcher.
pub(super) struct Lookups {
    pub(super) resolver: Arc<dyn Resolve>,
    limit: Duration,
    in_progress: Mutex<HashMap<Partition, InProgress>>,
    /// By host.
    answers: Mutex<Partitioned<HashMap<String, Answer>>>,
}

/// The look-ups of a partition that are in progress.
struct InProgress {
    turns: Arc<Semaphore>,
    /// By host. A look-up is cancelled when the last fetch that waits for it is dropped.
    running: HashMap<String, WeakShared<LookUp>>,
}

struct Answer {
    addresses: Addresses,
    until: Instant,
}

/// A host name could not be resolved.
#[derive(Clone, Debug)]
pub(super) struct NotResolved(Arc<io::Error>);

impl fmt::Display for NotResolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = self.0.to_string();
        // The prefix that the standard library adds.
        let cause = told.strip_prefix("failed to lookup address information: ").unwrap_or(&told);
        write!(f, "the host's name could not be resolved: {cause}")
    }
}

impl std::error::Error for NotResolved {}

impl From<io::Error> for NotResolved {
    fn from(error: io::Error) -> Self {
        Self(Arc::new(error))
    }
}

impl Lookups {
    /// `limit` is the time limit of each look-up, not counting the wait for its turn.
    pub(super) fn new(resolver: Arc<dyn Resolve>, limit: Duration) -> Self {
        Self { resolver, limit, in_progress: Mutex::default(), answers: Mutex::default() }
    }

    /// Looks up `host`, unless the answer is [known](Self::known).
    pub(super) async fn look_up(
        &self,
        partition: Partition,
        host: &str,
    ) -> Result<(), NotResolved> {
        if self.known(&partition, host).is_some() {
            return Ok(());
        }
        let addresses = self.running(&partition, host).await?;
        let now = Instant::now();
        let mut answers = self.answers.lock();
        let answers = answers.entry(&partition);
        if answers.len() >= MOST_REMEMBERED {
            answers.retain(|_, answer| answer.until > now);
        }
        if answers.len() >= MOST_REMEMBERED {
            answers.clear();
        }
        answers.insert(host.to_owned(), Answer { addresses, until: now + REMEMBERED });
        Ok(())
    }

    /// The cached answer of an earlier look-up.
    pub(super) fn known(&self, partition: &Partition, host: &str) -> Option<Addresses> {
        let mut answers = self.answers.lock();
        let answer = answers.get(partition)?.get(host)?;
        (answer.until > Instant::now()).then(|| Arc::clone(&answer.addresses))
    }

    /// Removes the answers for a host, for example after a failure that another address may not
    /// have.
    pub(super) fn forget(&self, partition: &Partition, host: &str) {
        if let Some(answers) = self.answers.lock().get(partition) {
            answers.remove(host);
        }
    }

    /// Removes all answers: another network may have others.
    pub(super) fn clear(&self) {
        self.answers.lock().clear();
    }

    /// The look-up of a host that is in progress for this partition, or a new one.
    fn running(&self, partition: &Partition, host: &str) -> Shared<LookUp> {
        let mut in_progress = self.in_progress.lock();
        in_progress.retain(|_, these| {
            these.running.retain(|_, look_up| look_up.upgrade().is_some());
            !these.running.is_empty()
        });
        let these = in_progress.entry(partition.clone()).or_insert_with(|| InProgress {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            running: HashMap::new(),
        });
        if let Some(look_up) = these.running.get(host).and_then(WeakShared::upgrade) {
            return look_up;
        }
        let (turns, resolver) = (Arc::clone(&these.turns), Arc::clone(&self.resolver));
        let (name, limit) = (host.to_owned(), self.limit);
        let look_up = async move {
            // The semaphore is never closed.
            let _turn = turns.acquire().await;
            match timeout(limit, resolver.resolve(&name)).await {
                Ok(Ok(addresses)) if addresses.is_empty() => {
                    Err(io::Error::other("it has no address").into())
                }
                Ok(Ok(addresses)) => Ok(addresses.into()),
                Ok(Err(error)) => Err(error.into()),
                Err(_) => {
                    let late = format!("no answer came within {} s", limit.as_secs_f32());
                    Err(io::Error::new(io::ErrorKind::TimedOut, late).into())
                }
            }
        };
        let look_up = look_up.boxed().shared();
        if let Some(weak) = look_up.downgrade() {
            these.running.insert(host.to_owned(), weak);
        }
        look_up
    }
}

#[cfg(test)]
mod tests {
    use bgfetch_model::ids::StorageKey;
    use std::future::pending;
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Answers for names that begin with `good`, and never for others. Counts the look-ups.
    #[derive(Default)]
    struct Script {
        asked: AtomicUsize,
        running: Arc<AtomicUsize>,
    }

    struct Running(Arc<AtomicUsize>);

    impl Drop for Running {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }

    impl Resolve for Script {
        fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if host.starts_with("good") {
                return Box::pin(async { Ok(vec![Ipv4Addr::LOCALHOST.into()]) });
            }
            self.running.fetch_add(1, Ordering::Relaxed);
            let running = Running(Arc::clone(&self.running));
            Box::pin(async move {
                let _running = running;
                pending().await
            })
        }
    }

    const LIMIT: Duration = Duration::from_secs(30);

    fn lookups() -> (Arc<Script>, Arc<Lookups>) {
        let script = Arc::new(Script::default());
        let resolver: Arc<dyn Resolve> = script.clone();
        (script, Arc::new(Lookups::new(resolver, LIMIT)))
    }

    impl Resolve for Arc<Script> {
        fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
            (**self).resolve(host)
        }
    }

    fn site(name: &str) -> Partition {
        Partition::Site(StorageKey(name.into()))
    }

    async fn look_up(lookups: &Lookups, of: &str, host: &str) -> Result<(), NotResolved> {
        lookups.look_up(site(of), host).await
    }

    #[tokio::test(start_paused = true)]
    async fn look_ups_that_hang_delay_none_of_another_site_and_are_bounded() {
        let (script, lookups) = lookups();
        let began = Instant::now();
        let mut hanging = tokio::task::JoinSet::new();
        for n in 0..3 * AT_ONCE {
            let lookups = Arc::clone(&lookups);
            hanging.spawn(async move { look_up(&lookups, "dead", &format!("dead{n}")).await });
        }
        tokio::task::yield_now().await;
        assert_eq!(script.running.load(Ordering::Relaxed), AT_ONCE);
        look_up(&lookups, "other", "good").await.unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO);
        while let Some(ended) = hanging.join_next().await {
            let failed = ended.unwrap().unwrap_err();
            assert!(failed.to_string().contains("no answer came within 30 s"), "{failed}");
        }
        // Each had the whole time limit, from when its turn came.
        assert_eq!(began.elapsed(), 3 * LIMIT);
        assert_eq!(script.running.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_for_a_name_share_its_look_up_and_end_it_together() {
        let (script, lookups) = lookups();
        let both =
            async { tokio::join!(look_up(&lookups, "a", "dead"), look_up(&lookups, "a", "dead")) };
        assert!(timeout(Duration::from_secs(1), both).await.is_err());
        assert_eq!(script.asked.load(Ordering::Relaxed), 1);
        assert_eq!(script.running.load(Ordering::Relaxed), 0, "nobody waits any more");
        look_up(&lookups, "a", "good").await.unwrap();
        assert_eq!(lookups.in_progress.lock().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_remembered_for_a_minute_within_its_partition() {
        let (script, lookups) = lookups();
        let asked = || script.asked.load(Ordering::Relaxed);
        look_up(&lookups, "a", "good").await.unwrap();
        look_up(&lookups, "a", "good").await.unwrap();
        assert_eq!(asked(), 1);
        look_up(&lookups, "b", "good").await.unwrap();
        assert_eq!(asked(), 2, "what one site asked tells another nothing");
        lookups.forget(&site("a"), "good");
        look_up(&lookups, "a", "good").await.unwrap();
        assert_eq!(asked(), 3);
        tokio::time::advance(REMEMBERED).await;
        look_up(&lookups, "a", "good").await.unwrap();
        assert_eq!(asked(), 4);
        lookups.clear();
        look_up(&lookups, "a", "good").await.unwrap();
        assert_eq!(asked(), 5);
        for n in 0..2 * MOST_REMEMBERED {
            look_up(&lookups, "a", &format!("good{n}")).await.unwrap();
        }
        let most = lookups.answers.lock().get(&site("a")).unwrap().len();
        assert!(most <= MOST_REMEMBERED);
        // A site with very many names pushes out none of another site.
        let before = asked();
        look_up(&lookups, "b", "good").await.unwrap();
        for n in 0..2 * MOST_REMEMBERED {
            look_up(&lookups, "a", &format!("good{n}")).await.unwrap();
        }
        let others = asked();
        look_up(&lookups, "b", "good").await.unwrap();
        assert_eq!(asked(), others);
        assert!(others > before);
    }
}
