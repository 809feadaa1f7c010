//! Who brings the bytes of images to hosts? Two loops: what URLs lead to, and what one host has and another waits for.

use crate::app::App;
use std::time::Duration;

/// Beside each commit, which may have asked for something.
const NET: Duration = Duration::from_secs(2);

/// Fetches what URLs lead to, for ever.
pub async fn keep_fetching(app: App) {
    let mut news = app.news.subscribe();
    loop {
        if let Err(error) = app.fetch_images().await {
            tracing::warn!(%error, "images could not be fetched");
        }
        let _ = tokio::time::timeout(NET, news.changed()).await;
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
