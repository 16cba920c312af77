//! Two businesses on one gateway: a token or a plugin of the one sees nothing of the other, on any route and by any
//! host call.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context;
use duet_tests::plugins_file::PluginsFile;
use duet_tests::webhook::{self, body, change, now_s};
use duet_tests::{Admin, Gateway, Setup};
use reqwest::Method;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);
/// Writes to both businesses.
const CUSTOMER: &str = "919800000001";
/// An id that nobody has.
const NOBODYS: i64 = 987_654_321;

/// What a token of another business gets.
#[derive(Clone, Copy)]
enum Sight {
    /// A list, in which only its own is.
    Own(&'static str),
    /// A search for this word, which is in a message of each, finds its own.
    Found(&'static str),
    /// Findings about its own.
    Examined,
    /// The same as for an id that nobody has.
    Absent,
    /// It is about the whole gateway.
    Refused,
    /// Exactly this, since it has one thing of its own to do it with.
    Says(&'static str),
    /// It tells of no business at all.
    Anyone,
}

/// Every route of the admin API. `{id}` is what it is named for in the first business.
const ROUTES: [(&str, &str, Sight); 68] = [
    ("get", "/healthz", Sight::Anyone),
    ("get", "/readyz", Sight::Anyone),
    ("get", "/metrics", Sight::Anyone),
    ("get", "/signup", Sight::Anyone),
    ("get", "/signup/page.js", Sight::Anyone),
    ("get", "/signup/page.css", Sight::Anyone),
    ("get", "/signup/progress", Sight::Anyone),
    ("post", "/signup/progress", Sight::Anyone),
    ("post", "/api/v1/signups", Sight::Refused),
    ("get", "/api/v1/openapi.json", Sight::Anyone),
    ("get", "/api/v1/version", Sight::Anyone),
    ("get", "/api/v1/events", Sight::Own("events")),
    ("get", "/api/v1/plugins", Sight::Own("plugins")),
    ("get", "/api/v1/plugins/{name}/logs", Sight::Absent),
    ("post", "/api/v1/plugins/{name}/replay", Sight::Refused),
    ("post", "/api/v1/plugins/{name}/promote", Sight::Refused),
    ("post", "/api/v1/plugins/{name}/rollback", Sight::Refused),
    ("post", "/api/v1/plugins/reload", Sight::Refused),
    ("get", "/api/v1/numbers", Sight::Own("numbers")),
    // Under its own token, of which it has none here; tests/blackbox/connecting.rs has one.
    ("post", "/api/v1/numbers", Sight::Says(NO_TOKEN)),
    (
        "get",
        "/api/v1/connections",
        Sight::Says(r#"{"connections":[],"next":""}"#),
    ),
    ("get", "/api/v1/numbers/{id}", Sight::Absent),
    ("post", "/api/v1/numbers/{id}/sync", Sight::Absent),
    ("get", "/api/v1/doctor", Sight::Examined),
    ("get", "/api/v1/numbers/{id}/leaving", Sight::Absent),
    ("get", "/api/v1/numbers/{id}/history", Sight::Absent),
    ("get", "/api/v1/numbers/{id}/ledger", Sight::Absent),
    ("get", "/api/v1/numbers/{id}/handling", Sight::Absent),
    ("put", "/api/v1/numbers/{id}/handling", Sight::Absent),
    ("get", "/api/v1/contacts", Sight::Own("contacts")),
    ("get", "/api/v1/contacts/{id}/export", Sight::Absent),
    ("post", "/api/v1/contacts/{id}/separate", Sight::Absent),
    ("delete", "/api/v1/contacts/{id}", Sight::Absent),
    ("get", "/api/v1/conversations", Sight::Own("conversations")),
    ("get", "/api/v1/conversations/{id}", Sight::Absent),
    ("get", "/api/v1/conversations/{id}/handling", Sight::Absent),
    ("post", "/api/v1/conversations/{id}/handling", Sight::Absent),
    ("get", "/api/v1/conversations/{id}/cases", Sight::Absent),
    ("get", "/api/v1/conversations/{id}/notes", Sight::Absent),
    ("post", "/api/v1/conversations/{id}/notes", Sight::Absent),
    (
        "put",
        "/api/v1/conversations/{id}/labels/{label}",
        Sight::Absent,
    ),
    (
        "delete",
        "/api/v1/conversations/{id}/labels/{label}",
        Sight::Absent,
    ),
    (
        "put",
        "/api/v1/conversations/{id}/assignment",
        Sight::Absent,
    ),
    (
        "delete",
        "/api/v1/conversations/{id}/assignment",
        Sight::Absent,
    ),
    ("get", "/api/v1/conversations/{id}/messages", Sight::Absent),
    ("post", "/api/v1/conversations/{id}/messages", Sight::Absent),
    (
        "get",
        "/api/v1/conversations/{id}/messages/{message}/media",
        Sight::Absent,
    ),
    ("post", "/api/v1/media", Sight::Absent),
    ("get", "/api/v1/messages/search", Sight::Found("well")),
    ("get", "/api/v1/outbox", Sight::Own("outbox")),
    ("get", "/api/v1/templates", Sight::Own("templates")),
    ("get", "/api/v1/alarms", Sight::Own("alarms")),
    ("post", "/api/v1/alarms/{id}/acknowledge", Sight::Absent),
    ("get", "/api/v1/dead-letters", Sight::Own("dead-letters")),
    ("post", "/api/v1/dead-letters/{id}/redrive", Sight::Absent),
    (
        "post",
        "/api/v1/dead-letters/redrive",
        Sight::Says(r#"{"left":0,"redriven":1}"#),
    ),
    ("get", "/api/v1/receipts", Sight::Refused),
    ("get", "/api/v1/receipts/{id}", Sight::Refused),
    ("get", "/api/v1/tokens", Sight::Refused),
    ("post", "/api/v1/tokens", Sight::Refused),
    ("delete", "/api/v1/tokens/{id}", Sight::Refused),
    ("get", "/api/v1/businesses", Sight::Refused),
    ("post", "/api/v1/businesses", Sight::Refused),
    ("delete", "/api/v1/businesses/{id}", Sight::Refused),
    ("put", "/api/v1/businesses/{id}/access", Sight::Refused),
    ("post", "/api/v1/businesses/{id}/webhook", Sight::Refused),
    (
        "put",
        "/api/v1/businesses/{id}/accounts/{account}",
        Sight::Refused,
    ),
    (
        "delete",
        "/api/v1/businesses/{id}/accounts/{account}",
        Sight::Refused,
    ),
];

const NO_TOKEN: &str = r#"{"error":{"code":"refused","message":"not yet, because there is no access token that can be used (set DUET_ACCESS_TOKEN, or one with duet business token)"}}"#;

/// Bodies that would do something, where a route takes one.
fn asked(path: &str) -> Option<Value> {
    match path.rsplit('/').next() {
        Some("numbers") => Some(json!({"waba": SHOP.waba})),
        Some("handling") if path.contains("/numbers/") => Some(json!({"person_hours": 1})),
        Some("handling") => Some(json!({"handling": "person"})),
        Some("notes") => Some(json!({"text": "across"})),
        Some("assignment") => Some(json!({"id": "across"})),
        Some("messages") => Some(json!({"type": "text", "text": {"body": "across"}})),
        Some("tokens") => Some(json!({"name": "across", "scopes": ["read"]})),
        Some("businesses") => Some(json!({"id": "across"})),
        _ => None,
    }
}

/// The businesses, with a number and an account of each.
struct Business {
    id: &'static str,
    number: &'static str,
    waba: &'static str,
    display: &'static str,
    /// What nobody else may see, beside these ids.
    secret: &'static str,
    /// What its phone calls the customer.
    saved: &'static str,
}

const SHOP: Business = Business {
    id: "shop",
    number: "306540352242922",
    waba: "302290129340398",
    display: "912255500331",
    secret: "Quittenmus",
    saved: "Asha from the fair",
};
const RIVAL: Business = Business {
    id: "rival",
    number: "406540352242922",
    waba: "402290129340398",
    display: "912255500441",
    secret: "Sauerkirsche",
    saved: "A. Rao",
};

impl Business {
    /// The changes, in a webhook of this business's number.
    fn webhook(&self, changes: &[Value]) -> anyhow::Result<Value> {
        let text = body(changes)
            .to_string()
            .replace(webhook::NUMBER, self.number)
            .replace(webhook::WABA, self.waba)
            .replace(webhook::DISPLAY, self.display);
        Ok(serde_json::from_str(&text)?)
    }

    /// Everything that a business can have: messages, a file, an opt-out, an entry in the address book, a
    /// template, a dead letter and a send.
    fn fill(&self, wamid: &str) -> anyhow::Result<Value> {
        let said = |id: &str, text: &str| webhook::texts(CUSTOMER, "Asha", &[(id, text)]);
        let image = json!([{"from": CUSTOMER, "id": format!("{wamid}.file"), "timestamp": now_s().to_string(),
            "type": "image", "image": {"id": "1", "mime_type": "image/png", "caption": self.secret}}]);
        let entry = json!([{"type": "contact", "action": "add", "metadata": {"timestamp": now_s().to_string()},
            "contact": {"full_name": self.saved, "phone_number": CUSTOMER}}]);
        let preferences = json!([{"wa_id": CUSTOMER, "category": "marketing_messages", "value": "stop",
            "timestamp": now_s().to_string()}]);
        let template = json!({"message_template_name": format!("offer_{}", self.secret.to_lowercase()),
            "message_template_language": "en", "event": "APPROVED", "message_template_id": 1});
        self.webhook(&[
            said(&format!("{wamid}.1"), &format!("reject {}", self.secret)),
            said(&format!("{wamid}.2"), "well"),
            change("messages", json!({"messages": image})),
            change("smb_app_state_sync", json!({"state_sync": entry})),
            change("user_preferences", json!({"user_preferences": preferences})),
            json!({"field": "message_template_status_update", "value": template}),
        ])
    }

    /// A person answers from the phone, although the customer has said stop.
    fn speaks(&self, wamid: &str) -> anyhow::Result<Value> {
        let text = format!("but {}", self.secret);
        self.webhook(&[webhook::echo(CUSTOMER, &format!("{wamid}.3"), &text)])
    }

    /// Words that tell of this business, and of nobody else.
    fn marks(&self, wamid: &str) -> Vec<String> {
        let own = format!("\"{}\"", self.id);
        let words = [
            own.as_str(),
            self.number,
            self.waba,
            self.display,
            self.secret,
            self.saved,
            wamid,
        ];
        let template = format!("offer_{}", self.secret.to_lowercase());
        words
            .map(str::to_owned)
            .into_iter()
            .chain([template, format!("{}-bot", self.id)])
            .collect()
    }

    fn plugin(&self) -> String {
        let name = format!("{}-bot", self.id);
        format!(
            "[plugins.{name}]\ncomponent = \"misbehave.wasm\"\nfrom = \"beginning\"\nbusiness = \"{}\"\n\
             [plugins.{name}.retry]\nattempts = 1\n[plugins.{name}.messages]\nspeak = [\"automation\", \"person\"]\n\
             [plugins.{name}.conversations]\nhandling = true\n[plugins.{name}.contacts]\n[plugins.{name}.store]\n",
            self.id
        )
    }

    /// A token for all that this business may do.
    async fn token(&self, root: &Admin) -> anyhow::Result<Admin> {
        let wanted = json!({"name": self.id, "business": self.id, "scopes": ["read", "operate", "personal", "admin"]});
        let made = root.post("/tokens", &wanted).await?;
        assert_eq!(made["business"], self.id);
        Ok(root.with_token(made["token"].as_str().context("a token")?))
    }
}

/// A gateway with both, each with a plugin and nothing in it.
async fn mall() -> anyhow::Result<Gateway> {
    let mut gateway = Gateway::start(Setup::default()).await?;
    let admin = gateway.admin()?;
    for business in [&SHOP, &RIVAL] {
        admin
            .post(
                "/businesses",
                &json!({"id": business.id, "name": business.id}),
            )
            .await?;
        let path = format!("/businesses/{}/accounts/{}", business.id, business.waba);
        let (status, said) = admin.call(Method::PUT, &path, None).await?;
        assert_eq!(status, 204, "{said}");
    }
    let plugins = PluginsFile::default()
        .and("misbehave", &SHOP.plugin())
        .and("misbehave", &RIVAL.plugin());
    gateway.change_plugins(plugins)?;
    admin.post("/plugins/reload", &json!({})).await?;
    admin.plugins_run(PATIENCE).await?;
    Ok(gateway)
}

/// The ids of the shop's things, by the path's first word.
struct Things {
    conversation: i64,
    contact: i64,
    alarm: i64,
    dead_letter: i64,
}

impl Things {
    /// The first of each that the shop sees.
    async fn of(shop: &Admin) -> anyhow::Result<Things> {
        let first = |list: &'static str| async move {
            let row = shop.row(list, "there is one", PATIENCE, |_| true).await?;
            row["id"].as_i64().context("an id")
        };
        Ok(Things {
            conversation: first("conversations").await?,
            contact: first("contacts").await?,
            alarm: first("alarms").await?,
            dead_letter: first("dead-letters").await?,
        })
    }

    /// Labels the shop's conversation and assigns it.
    async fn mark(&self, shop: &Admin) -> anyhow::Result<()> {
        let below = format!("/conversations/{}", self.conversation);
        let label = format!("{below}/labels/{}", SHOP.secret);
        let assignment = format!("{below}/assignment");
        for (path, body) in [(label, None), (assignment, Some(json!({"id": "3"})))] {
            let (status, said) = shop.call(Method::PUT, &path, body.as_ref()).await?;
            assert_eq!(status, 200, "{said}");
        }
        Ok(())
    }

    /// The path to the shop's thing, or to nobody's.
    fn path(&self, template: &str, nobodys: bool) -> String {
        if template == "/api/v1/media" {
            let business = if nobodys { "nobody" } else { SHOP.id };
            return format!("{template}?business={business}");
        }
        let id = match template.split('/').nth(3) {
            Some("conversations") => self.conversation,
            Some("contacts") => self.contact,
            Some("alarms") => self.alarm,
            Some("dead-letters") => self.dead_letter,
            _ => 1,
        };
        let id = match template.split('/').nth(3) {
            _ if nobodys => NOBODYS.to_string(),
            Some("numbers") => SHOP.number.to_owned(),
            Some("plugins") => format!("{}-bot", SHOP.id),
            Some("businesses") => SHOP.id.to_owned(),
            _ => id.to_string(),
        };
        template
            .replace("{id}", &id)
            .replace("{name}", &id)
            .replace("{message}", "wamid.shop.file")
            .replace("{label}", "across")
            .replace("{account}", SHOP.waba)
    }
}

/// All that the shop has, as its own token sees it.
async fn everything(of: &Admin) -> anyhow::Result<Value> {
    let mut all = json!({});
    for (_, path, sight) in ROUTES {
        if let Sight::Own(list) = sight {
            let path = path.trim_start_matches("/api/v1/");
            let mut rows = of.rows(path, "").await?;
            for send in rows.iter_mut().filter(|_| list == "outbox") {
                // Nobody listens where it goes, so that it is tried again and again.
                *send = json!([send["id"], send["conversation"], send["message"]]);
            }
            all[list] = rows.into();
        }
    }
    Ok(all)
}

/// Method and path of every route that the gateway describes.
async fn described(root: &Admin) -> anyhow::Result<BTreeSet<(String, String)>> {
    let description = root.get("/openapi.json").await?;
    let mut routes = BTreeSet::new();
    for (path, item) in description["paths"].as_object().into_iter().flatten() {
        let members = item.as_object().into_iter().flatten();
        let methods = members.filter(|(name, _)| *name != "parameters");
        routes.extend(methods.map(|(method, _)| (method.clone(), path.clone())));
    }
    Ok(routes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_one_business_sees_nothing_of_another_on_any_route() -> anyhow::Result<()> {
    let gateway = mall().await?;
    let (meta, root) = (gateway.meta()?, gateway.admin()?);
    meta.deliver(&SHOP.fill("wamid.shop")?).await?;
    meta.deliver(&RIVAL.fill("wamid.rival")?).await?;
    root.count("dead-letters", "", 2, PATIENCE).await?;
    root.count("outbox", "", 2, PATIENCE).await?;
    meta.deliver(&SHOP.speaks("wamid.shop")?).await?;
    meta.deliver(&RIVAL.speaks("wamid.rival")?).await?;
    root.intake_done(PATIENCE).await?;
    let (shop, rival) = (SHOP.token(&root).await?, RIVAL.token(&root).await?);
    let things = Things::of(&shop).await?;
    things.mark(&shop).await?;
    let before = everything(&shop).await?;
    for (list, rows) in before.as_object().into_iter().flatten() {
        let some = rows.as_array().is_some_and(|rows| !rows.is_empty());
        assert!(some, "the shop has no {list}: this test sees nothing");
    }

    let mut left = described(&root).await?;
    for (method, path, sight) in ROUTES {
        let known = left.remove(&(method.into(), path.into()));
        assert!(known, "{method} {path} is no route any more");
        look(&rival, &things, method, path, sight).await?;
    }
    assert!(
        left.is_empty(),
        "say in ROUTES what another business's token gets on {left:?}"
    );
    for query in [
        format!("contacts?find={CUSTOMER}"),
        format!("contacts?find={}", things.contact),
        format!("events?conversation={}", things.conversation),
        format!("outbox?conversation={}", things.conversation),
        format!("conversations?contact={}", things.contact),
        format!("conversations?number={}", SHOP.number),
        format!("conversations?label={}", SHOP.secret),
        "conversations?assignee=3".to_owned(),
        format!("templates?waba={}", SHOP.waba),
        "dead-letters?plugin=shop-bot".to_owned(),
    ] {
        tells_nothing(&query, &rival.get(&format!("/{query}")).await?.to_string());
    }
    assert_eq!(everything(&shop).await?, before, "nothing has changed");
    gateway.end().await
}

/// Asks a route for what is the shop's.
async fn look(
    rival: &Admin,
    things: &Things,
    method: &str,
    route: &str,
    sight: Sight,
) -> anyhow::Result<()> {
    let method = Method::from_bytes(method.to_uppercase().as_bytes())?;
    let (path, ask) = (things.path(route, false), asked(route));
    let Some(below) = path.strip_prefix("/api/v1") else {
        let (_, text) = rival.open(&path).await?;
        tells_nothing(&path, &text);
        return Ok(());
    };
    let below = match sight {
        Sight::Found(word) => format!("{below}?q={word}"),
        _ => below.to_owned(),
    };
    let (status, said) = rival.call(method.clone(), &below, ask.as_ref()).await?;
    let case = format!("{method} {path}: {status} {said}");
    match sight {
        Sight::Own(list) => {
            let rows = said[list].as_array().map_or(0, Vec::len);
            assert!(status == 200 && rows > 0, "{case}");
        }
        Sight::Found(_) => {
            let rows = said["messages"].as_array().map_or(0, Vec::len);
            assert_eq!((status, rows), (200, 1), "{case}");
        }
        Sight::Examined => {
            let findings = said["findings"].as_array().map_or(0, Vec::len);
            assert!(status == 200 && findings > 0, "{case}");
            assert!(said.to_string().contains(RIVAL.number), "{case}");
        }
        Sight::Absent => {
            let nobodys = things.path(route, true);
            let below = nobodys.trim_start_matches("/api/v1");
            let absent = rival.call(method, below, ask.as_ref()).await?;
            assert_eq!((status, &said), (404, &absent.1), "{case}");
            assert_eq!(absent.0, 404, "{case}");
        }
        Sight::Refused => {
            let code = &said["error"]["code"];
            assert_eq!((status, code), (403, &json!("whole_gateway")), "{case}");
        }
        Sight::Says(text) => assert_eq!(said.to_string(), text, "{case}"),
        Sight::Anyone => assert_eq!(status, 200, "{case}"),
    }
    if !matches!(sight, Sight::Anyone) {
        tells_nothing(&case, &said.to_string());
    }
    Ok(())
}

fn tells_nothing(case: &str, text: &str) {
    for mark in SHOP.marks("wamid.shop") {
        // A metric is named for its plugin; it is the whole gateway's and asks for no token.
        if case != "/metrics" || mark != "shop-bot" {
            assert!(!text.contains(&mark), "{case} tells {mark}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_of_one_business_gets_nothing_across_the_wall() -> anyhow::Result<()> {
    let gateway = mall().await?;
    let (meta, root) = (gateway.meta()?, gateway.admin()?);
    let said = |id: &str, text: &str| webhook::texts(CUSTOMER, "Asha", &[(id, text)]);
    meta.deliver(&SHOP.webhook(&[said("wamid.shop.1", "well")])?)
        .await?;
    let shop = SHOP.token(&root).await?;
    let rival = RIVAL.token(&root).await?;
    shop.count("outbox", "", 1, PATIENCE).await?;
    let conversation = shop
        .count("conversations", "", 1, PATIENCE)
        .await?
        .remove(0);
    let (id, contact) = (&conversation["id"], &conversation["contact"]["id"]);
    // The same question of the shop's own plugin shows that there is something to be seen.
    let question = format!("across {id} {contact}");
    meta.deliver(&RIVAL.webhook(&[said("wamid.rival.1", &question)])?)
        .await?;
    let letter = rival
        .count("dead-letters", "", 1, PATIENCE)
        .await?
        .remove(0);
    assert_eq!(
        (&letter["plugin"], &letter["cause"]),
        (&json!("rival-bot"), &json!("rejected: there is a wall"))
    );
    meta.deliver(&SHOP.webhook(&[said("wamid.shop.2", &question)])?)
        .await?;
    let letter = shop.count("dead-letters", "", 1, PATIENCE).await?.remove(0);
    let cause = letter["cause"].as_str().unwrap_or_default();
    assert!(cause.contains("seen across the wall"), "{cause}");

    assert_eq!(
        shop.rows("outbox", "").await?.len(),
        1,
        "nothing was sent across"
    );
    assert!(rival.rows("outbox", "").await?.is_empty());
    let after = shop.get(&format!("/conversations/{id}")).await?;
    assert_eq!(after["handling"], "automation");
    for (admin, done) in [(&shop, 1), (&rival, 0)] {
        let plugins = admin.rows("plugins", "").await?;
        assert_eq!(plugins.len(), 1, "{plugins:?}");
        assert_eq!(
            plugins[0]["events"]["done"], done,
            "it sees its own events alone: {plugins:?}"
        );
    }
    let redriven = rival.post("/dead-letters/redrive", &json!({})).await?;
    assert_eq!(redriven["redriven"], 1, "its own alone");
    gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_works_for_one_business_that_there_is_and_for_no_other_later() -> anyhow::Result<()>
{
    let mut gateway = mall().await?;
    let root = gateway.admin()?;
    let moved = SHOP
        .plugin()
        .replace("business = \"shop\"", "business = \"rival\"");
    let unknown = RIVAL
        .plugin()
        .replace("business = \"rival\"", "business = \"nobody\"");
    let file = PluginsFile::default()
        .and("misbehave", &moved)
        .and("misbehave", &unknown);
    gateway.change_plugins(file)?;
    let reloaded = root.post("/plugins/reload", &json!({})).await?;
    let told = |at: usize| {
        reloaded["plugins"][at]["cause"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert!(
        told(0).contains("plugins.toml:") && told(0).contains("no business \"nobody\""),
        "{reloaded}"
    );
    assert!(
        told(1).contains("worked for another business"),
        "{reloaded}"
    );
    for at in 0..2 {
        assert_eq!(
            reloaded["plugins"][at]["state"], "ready",
            "the old one goes on: {reloaded}"
        );
    }
    let bad = SHOP
        .plugin()
        .replace("business = \"shop\"", "business = \"The Shop\"");
    gateway.change_plugins(PluginsFile::default().and("misbehave", &bad))?;
    let shop = SHOP.token(&root).await?;
    let reloaded = root.post("/plugins/reload", &json!({})).await?;
    assert!(
        reloaded.to_string().contains("take the line out"),
        "{reloaded}"
    );
    let plugins = shop.rows("plugins", "").await?;
    assert!(
        plugins[0]["cause"]
            .as_str()
            .is_some_and(|cause| cause.contains("admin sees why")),
        "{plugins:?}"
    );
    gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_for_a_business_that_there_is() -> anyhow::Result<()> {
    let gateway = mall().await?;
    let root = gateway.admin()?;
    let token = |business: &str| json!({"name": "x", "business": business, "scopes": ["read"]});
    let (status, said) = root
        .call(Method::POST, "/tokens", Some(&token("nobody")))
        .await?;
    assert_eq!(
        (status, &said["error"]["code"]),
        (400, &json!("bad_body")),
        "{said}"
    );
    // The gateway's own business has walls, too.
    let own = root.post("/tokens", &token("")).await?;
    let own = root.with_token(own["token"].as_str().unwrap_or_default());
    let said = webhook::texts(CUSTOMER, "Asha", &[("wamid.1", "well")]);
    gateway.meta()?.deliver(&SHOP.webhook(&[said])?).await?;
    root.intake_done(PATIENCE).await?;
    assert!(own.rows("conversations", "").await?.is_empty());
    assert_eq!(root.rows("conversations", "").await?.len(), 1);
    gateway.end().await
}
