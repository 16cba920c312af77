//! `duet sim …` as it is typed.

use clap::{CommandFactory, Parser};
use duet_sim::Deed;
use duet_sim::cli::{self, SimArgs};

use crate::scene::{ASHA, Scene, quick, text_to};

#[derive(Parser)]
struct Typed {
    #[command(flatten)]
    sim: SimArgs,
}

async fn run(scene: &Scene, words: &[&str]) -> anyhow::Result<()> {
    let mut typed = vec!["duet-sim"];
    typed.extend(words);
    typed.extend(["--sim", scene.sim.url()]);
    cli::run(Typed::try_parse_from(typed)?.sim).await
}

#[test]
fn the_command_line_is_sound() {
    Typed::command().debug_assert();
    assert!(
        Typed::try_parse_from([
            "duet-sim",
            "--listen",
            "127.0.0.1:0",
            "--number",
            "1:911,2:912"
        ])
        .is_ok()
    );
    assert!(Typed::try_parse_from(["duet-sim", "serve", "--mood", "{}"]).is_ok());
    assert!(Typed::try_parse_from(["duet-sim", "--retry-for", "7d", "--lanes", "4"]).is_ok());
    assert!(Typed::try_parse_from(["duet-sim", "phone", "--reaction", "x"]).is_err());
}

#[tokio::test]
async fn the_verbs_play_on_a_running_sim() {
    let scene = Scene::new(quick()).await;
    run(&scene, &["customer", "Is the shop open?", "--from", ASHA])
        .await
        .unwrap();
    run(&scene, &["phone", "Until nine.", "--to", ASHA])
        .await
        .unwrap();
    let fields: Vec<_> = scene
        .changes()
        .await
        .into_iter()
        .map(|(field, _)| field)
        .collect();
    assert_eq!(fields, ["messages", "smb_message_echoes"]);

    run(&scene, &["mood", "--fail", "131000", "--times", "3"])
        .await
        .unwrap();
    run(&scene, &["mood", "--lost", "--copies", "2"])
        .await
        .unwrap();
    let mood = scene.sim.mood();
    let troubles: Vec<_> = mood
        .troubles
        .iter()
        .map(|trouble| (trouble.deed, trouble.code, trouble.times))
        .collect();
    assert_eq!(
        troubles,
        [(Deed::Fail, 131_000, Some(3)), (Deed::Lost, 0, None)]
    );
    assert_eq!(mood.webhook.copies, 2);
    run(&scene, &["mood", "--clear"]).await.unwrap();
    assert_eq!(scene.send(text_to(ASHA, "Hi")).await.0, 200);
    run(&scene, &["sent"]).await.unwrap();
    run(&scene, &["signup", "--digits", "912255500777"])
        .await
        .unwrap();
    run(&scene, &["move", ASHA, "919800000099"]).await.unwrap();
    run(
        &scene,
        &[
            "business",
            "--threads",
            "2",
            "--messages",
            "9",
            "--contacts",
            "3",
            "--language",
            "tamil",
            "--live",
            "2",
        ],
    )
    .await
    .unwrap();
    let removed = [
        "account",
        "PARTNER_REMOVED",
        "--shape",
        "phone",
        "--time",
        "1768477203",
    ];
    run(&scene, &removed).await.unwrap();
    let fields: std::collections::HashSet<_> = scene
        .changes()
        .await
        .into_iter()
        .map(|(field, _)| field)
        .collect();
    for field in [
        "user_id_update",
        "history",
        "smb_app_state_sync",
        "account_update",
    ] {
        assert!(fields.contains(field), "{field}");
    }
    let refused = run(&scene, &["account", ""]).await.unwrap_err().to_string();
    assert!(refused.contains("PARTNER_REMOVED"), "{refused}");
}
