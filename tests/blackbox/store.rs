//! A plugin's own store holds its word however many conversations are at work.

use std::time::Duration;

use duet_sim::Sim;
use duet_tests::plugins_file::PluginsFile;
use duet_tests::{Gateway, Setup, gateway, webhook};

const PATIENCE: Duration = Duration::from_secs(120);
const CUSTOMERS: usize = 24;
const EACH: usize = 3;

/// Everybody thinks after it has compared, so that all of them have compared with the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conversations_that_count_up_one_key_at_once_never_count_the_same() -> anyhow::Result<()> {
    let sim = Sim::start(gateway::open_sim()).await?;
    let table = "[plugins.desk]\ncomponent = \"errands.wasm\"\nfrom = \"beginning\"\n\
                 [plugins.desk.messages]\nspeak = [\"automation\"]\n\
                 [plugins.desk.store]\n[plugins.desk.timers]\n";
    let setup = Setup::default()
        .graph(sim.url())
        .plugins(PluginsFile::default().and("errands", table))
        .env("DUET_SENDING_NUMBER_PER_SECOND", 100_000);
    let gateway = Gateway::start(setup).await?;
    let (meta, admin) = (gateway.meta()?, gateway.admin()?);
    admin.plugins_run(PATIENCE).await?;
    for n in 0..EACH {
        for customer in 0..CUSTOMERS {
            let (from, id) = (
                format!("9195000000{customer:02}"),
                format!("wamid.{customer}.{n}"),
            );
            meta.deliver(&webhook::text(&from, &id, "ticket 20"))
                .await?;
        }
    }
    let sent = sim
        .wait_sent(u64::try_from(CUSTOMERS * EACH)?, PATIENCE)
        .await?;
    let mut tickets: Vec<usize> = sent
        .iter()
        .filter_map(|sent| {
            let text = sent.body["text"]["body"].as_str()?;
            text.strip_prefix("ticket ")?.parse().ok()
        })
        .collect();
    tickets.sort_unstable();
    assert_eq!(tickets, (1..=CUSTOMERS * EACH).collect::<Vec<_>>());
    gateway.end().await
}
