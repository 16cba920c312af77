//! The tasks of all parts, and their end in the way of a message.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::spawn;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::ground::Ground;
use super::keeper;
use super::parts::Parts;
use crate::dispatch::Dispatch;
use crate::store::Store;
use crate::store::intake::Part;
use crate::store::receipts::ReceiptLog;
use crate::store::retention::Retention;
use crate::{admin, receive, rounds};

/// Runs that have not committed by then, for a full disk or a slow plugin, are cut off like by a crash.
const STOP_MAX: Duration = Duration::from_secs(20);

pub(super) struct Running {
    store: Store,
    receipts: ReceiptLog,
    dispatch: Arc<Dispatch>,
    stop_public: watch::Sender<bool>,
    stop_rest: watch::Sender<bool>,
    received: JoinHandle<()>,
    /// They leave nothing behind when they are cut off.
    cut: Vec<JoinHandle<()>>,
    /// They bring plugins and events to dispatch.
    feeding: Vec<JoinHandle<()>>,
    /// They end what they have begun.
    ending: Vec<JoinHandle<()>>,
}

impl Running {
    /// Plugins may take minutes to compile; no webhook waits for that.
    pub(super) fn start(
        ground: Ground,
        parts: Parts,
        retention: Retention,
        public: TcpListener,
        private: TcpListener,
    ) -> Running {
        let (store, receipts) = (ground.store, ground.receipts);
        let (stop_rest, stopping) = watch::channel(false);
        let (stop_public, public_stops) = watch::channel(false);
        let ending = vec![
            spawn(parts.outbox.run(stopping.clone())),
            spawn(parts.media.run(stopping.clone())),
            spawn(rounds::make(parts.connecting, stopping.clone())),
            spawn(admin::serve(
                private,
                admin::router(parts.admin),
                until(stopping.clone()),
            )),
        ];
        let mut feeding = vec![spawn(parts.reloader.watch(stopping.clone()))];
        let intakes = Part::ALL.map(|part| parts.intake.clone().run(part, stopping.clone()));
        feeding.extend(intakes.map(spawn));
        let kept = keeper::keep(store.clone(), receipts.clone(), retention, ground.metrics);
        let mut cut = vec![
            spawn(keeper::index(store.clone())),
            spawn(kept),
            spawn(rounds::make(parts.enquiry, stopping.clone())),
            spawn(rounds::make(parts.catalogue, stopping)),
        ];
        cut.extend(parts.herald.map(|herald| spawn(herald.run())));
        Running {
            store,
            receipts,
            dispatch: parts.dispatch,
            stop_public,
            stop_rest,
            received: spawn(receive::serve(public, parts.receive, until(public_stops))),
            cut,
            feeding,
            ending,
        }
    }

    /// What was accepted is answered, and what runs commits.
    pub(super) async fn stop(self) {
        self.stop_public.send_replace(true);
        let _ = self.received.await;
        for task in self.cut {
            task.abort();
        }
        self.stop_rest.send_replace(true);
        let ended = async {
            for task in self.feeding {
                let _ = task.await;
            }
            self.dispatch.stop().await;
        };
        if timeout(STOP_MAX, ended).await.is_err() {
            tracing::warn!("some runs could not commit in time; they are repeated after the start");
        }
        for task in self.ending {
            let _ = task.await;
        }
        keeper::put_away(&self.store, &self.receipts).await;
    }
}

async fn until(mut stop: watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = stop.wait_for(|stop| *stop).await;
}
