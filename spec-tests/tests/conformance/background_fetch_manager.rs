//! [BackgroundFetchManager](https://wicg.github.io/background-fetch/#background-fetch-manager):
//! `fetch()`, `get()`, `getIds()`.

use bgfetch::{CallError, EventKind, FetchOptions, ImageResource};
use bgfetch_testkit::{Gate, MIB, Resource, Serve};

use crate::agent::{Agent, bytes, records, settled};

#[tokio::test]
async fn several_files_are_fetched_as_one_item() {
    let mut agent = Agent::start().await;
    let (episode, art) = (Resource::new(1, MIB), Resource::new(2, 5000));
    agent.origin.serve("/ep-5.mp3", episode.clone());
    agent.origin.serve("/ep-5-artwork.jpg", art.clone());
    let mut icon = ImageResource::new(agent.origin.url("/ep-5-icon.png"));
    icon.sizes = "300x300".into();
    let options = FetchOptions::default().with(|it| {
        it.title = "Episode 5".into();
        it.icons = vec![icon];
        it.download_total = episode.length() + art.length();
    });
    let paths = ["/ep-5.mp3", "/ep-5-artwork.jpg"];
    let fetch = agent.fetch_with("my-fetch", &paths, options).await;
    assert_eq!(fetch.id(), "my-fetch");
    assert_eq!(fetch.download_total(), episode.length() + art.length());
    assert_eq!(settled(&fetch).await, Ok(()));
    assert_eq!(fetch.downloaded(), fetch.download_total());

    let event = agent.events.next().await;
    assert_eq!((event.kind, event.id.as_str()), (EventKind::Success, "my-fetch"));
    let records = records(&fetch).await;
    assert!(bytes(&records[0]).await == episode.bytes());
    assert!(bytes(&records[1]).await == art.bytes());
    assert_eq!(agent.host.received().len(), 1, "one event for both");
}

#[tokio::test]
async fn get_and_get_ids_know_what_is_active() {
    let agent = Agent::start().await;
    let gate = Gate::new();
    agent.origin.serve("/a", Resource::new(1, 10).hold_head(&gate));
    assert!(agent.manager.get("first").await.unwrap().is_none());
    let first = agent.fetch("first", &["/a"]).await;
    let second = agent.fetch("second", &["/a"]).await;
    assert_eq!(agent.manager.get_ids().await.unwrap(), ["first", "second"]);
    let found = agent.manager.get("first").await.unwrap().unwrap();
    assert_eq!((found.key(), found.id()), (first.key(), "first"));
    assert_eq!(found.result(), None);

    gate.open();
    assert_eq!((settled(&first).await, settled(&second).await), (Ok(()), Ok(())));
    assert!(agent.manager.get_ids().await.unwrap().is_empty());
    assert!(agent.manager.get("first").await.unwrap().is_none());
}

#[tokio::test]
async fn an_id_is_taken_only_while_its_fetch_is_active() {
    let agent = Agent::start().await;
    agent.origin.serve("/a", Resource::new(1, 10));
    agent.offline();
    let first = agent.fetch("id", &["/a"]).await;
    let urls = [agent.origin.url("/a")];
    let taken = agent.manager.fetch("id", urls, FetchOptions::default());
    let taken = taken.await.unwrap_err().call_error();
    assert_eq!(taken, Some(CallError::IdInUse));
    assert!(first.abort().await.unwrap());

    let second = agent.fetch("id", &["/a"]).await;
    assert_ne!(first.key(), second.key());
    // The old object keeps its fetch: it can't touch the new one.
    assert!(!first.abort().await.unwrap());
    agent.online();
    assert_eq!(settled(&second).await, Ok(()));
}

/// D36: a request that the page may not fetch fails the record, not the call.
#[tokio::test]
async fn a_scheme_that_cannot_be_fetched_fails_the_record() {
    let agent = Agent::start().await;
    for url in ["data:text/plain,a", "blob:https://app.test/a", "unknown://app.test/"] {
        let fetch = agent.manager.fetch(url, [url], FetchOptions::default()).await;
        let fetch = fetch.unwrap();
        let failed = Err(bgfetch::FailureReason::FetchError);
        assert_eq!(settled(&fetch).await, failed, "{url}");
        let error = records(&fetch).await[0].response_ready().await.unwrap_err();
        assert_eq!(error.dom_exception(), bgfetch::DomException::TypeError);
    }
}
