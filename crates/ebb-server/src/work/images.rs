//! Who brings the bytes of images to hosts? Two loops: what URLs lead to, and what one host has and another waits for.

use crate::app::App;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::task::JoinSet;

/// Beside each commit, which may have asked for something.
const NET: Duration = Duration::from_secs(2);
/// So many images are fetched side by side.
const AT_ONCE: usize = 8;

/// Fetches what URLs lead to, for ever: one of an account at a time, so that none waits for another's that is slow.
pub async fn keep_fetching(app: App) {
    let (mut news, mut at_it, mut fetches) = (app.news.subscribe(), BTreeSet::new(), JoinSet::new());
    loop {
        let waiting = app.images_to_fetch().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "images could not be fetched");
            vec![]
        });
        for of in waiting {
            if at_it.len() < AT_ONCE && at_it.insert(of.account) {
                let app = app.clone();
                fetches.spawn(async move {
                    let (id, account) = (of.id, of.account);
                    if let Err(error) = app.fetch_image(of).await {
                        tracing::warn!(image = %id, %error, "an image could not be fetched");
                    }
                    account
                });
            }
        }
        tokio::select! {
            Some(done) = fetches.join_next() => drop(at_it.remove(&done.expect("no fetch panics"))),
            _ = tokio::time::timeout(NET, news.changed()) => {}
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Brings images from host to host, for ever.
pub async fn keep_relaying(app: App) {
    let mut news = app.news.subscribe();
    loop {
        if let Err(error) = app.relay_images().await {
            tracing::warn!(%error, "images could not be relayed");
        }
        let _ = tokio::time::timeout(NET, news.changed()).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
