//! Whether a number can be connected, and whether one that is connected is well: what Meta says, judged. Each finding
//! tells what was found and, unless all is well, what to do.

/// Every webhook field that a number in the app needs (Meta's page on onboarding users of the app).
pub const FIELDS_NEEDED: [&str; 5] = [
    "messages",
    "account_update",
    "history",
    "smb_app_state_sync",
    "smb_message_echoes",
];
/// Fields without which a gateway learns some things late or never.
pub const FIELDS_USEFUL: [&str; 6] = [
    "message_template_status_update",
    "phone_number_quality_update",
    "business_capability_update",
    "account_alerts",
    "user_preferences",
    "user_id_update",
];
const SCOPES: [&str; 2] = [
    "whatsapp_business_management",
    "whatsapp_business_messaging",
];
const DAY_MS: i64 = 24 * 3_600_000;
/// A token that ends within so long should be replaced.
const EXPIRES_SOON_MS: i64 = 7 * DAY_MS;
/// Meta's clock and ours may differ by so much before times are doubtful, and before they are wrong.
const CLOCK_DOUBT_MS: i64 = 30_000;
const CLOCK_WRONG_MS: i64 = 10 * 60_000;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Well,
    /// It may be wrong, or will be soon.
    Doubt,
    /// Something does not work.
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Such as `token`; the same for the same question.
    pub check: &'static str,
    pub verdict: Verdict,
    pub detail: String,
    pub remedy: Option<String>,
}

/// What Meta says of an access token (`debug_token`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenFacts {
    pub is_valid: bool,
    /// Why not, in Meta's words.
    pub error: Option<String>,
    /// The app that it was made for.
    pub app: Option<String>,
    /// Absent: it does not end.
    pub expires_ms: Option<i64>,
    pub scopes: Vec<String>,
    /// Accounts that it may manage; absent: all of its business.
    pub wabas: Option<Vec<String>>,
}

/// What Meta says of a number; what it leaves out is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NumberFacts {
    pub is_on_biz_app: Option<bool>,
    /// Such as `CLOUD_API` or `NOT_APPLICABLE`.
    pub platform: Option<String>,
    /// Such as `CONNECTED`.
    pub status: Option<String>,
    /// `GREEN`, `YELLOW`, `RED` or `UNKNOWN`.
    pub quality: Option<String>,
    /// Where its webhooks go: the number's own address, else the account's, else the app's.
    pub callback: Option<String>,
}

/// What Meta says, or why it does not.
pub type Told<T> = Result<T, String>;

impl Finding {
    #[must_use]
    pub fn well(check: &'static str, detail: impl Into<String>) -> Finding {
        Finding {
            check,
            verdict: Verdict::Well,
            detail: detail.into(),
            remedy: None,
        }
    }

    #[must_use]
    pub fn doubt(
        check: &'static str,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Finding {
        Finding {
            verdict: Verdict::Doubt,
            remedy: Some(remedy.into()),
            ..Finding::well(check, detail)
        }
    }

    #[must_use]
    pub fn problem(
        check: &'static str,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Finding {
        Finding {
            verdict: Verdict::Problem,
            ..Finding::doubt(check, detail, remedy)
        }
    }
}

/// The worst of all; well when there is none.
#[must_use]
pub fn worst(findings: &[Finding]) -> Verdict {
    let verdicts = findings.iter().map(|finding| finding.verdict);
    verdicts.max().unwrap_or(Verdict::Well)
}

/// All problems in one sentence, with their remedies.
#[must_use]
pub fn obstacles(findings: &[Finding]) -> Option<String> {
    let problems: Vec<_> = findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Problem)
        .map(|finding| match &finding.remedy {
            Some(remedy) => format!("{} ({remedy})", finding.detail),
            None => finding.detail.clone(),
        })
        .collect();
    (!problems.is_empty()).then(|| problems.join("; and "))
}

impl NumberFacts {
    /// Whether the number is in the WhatsApp Business app and on the Cloud API at once.
    #[must_use]
    pub fn coexists(&self) -> bool {
        self.is_on_biz_app == Some(true) && self.platform.as_deref() == Some("CLOUD_API")
    }
}

/// The token: valid for long, with the permissions, for the account.
#[must_use]
pub fn token(told: &Told<TokenFacts>, waba: Option<&str>, now_ms: i64) -> Vec<Finding> {
    const NEW: &str =
        "make a new token of a system user and set DUET_ACCESS_TOKEN, or the business's token";
    let facts = match told {
        Ok(facts) => facts,
        Err(cause) => {
            let detail = format!("Meta does not say what the token may do: {cause}");
            let remedy = "set signup.app_id, so that Meta can be asked with the app's own secret";
            return vec![Finding::doubt("token", detail, remedy)];
        }
    };
    if !facts.is_valid {
        let why = facts.error.as_deref().unwrap_or("no reason told");
        let detail = format!("the access token is not valid: {why}");
        return vec![Finding::problem("token", detail, NEW)];
    }
    let validity = match facts.expires_ms {
        Some(until) if until <= now_ms => {
            Finding::problem("token", "the access token has expired", NEW)
        }
        Some(until) if until.saturating_sub(now_ms) < EXPIRES_SOON_MS => {
            let days = until.saturating_sub(now_ms) / DAY_MS;
            let detail = format!("the access token ends in {days} days");
            Finding::doubt("token", detail, NEW)
        }
        Some(_) => Finding::well("token", "the access token is valid"),
        None => Finding::well("token", "the access token is valid and does not end"),
    };
    vec![validity, permissions(facts, waba)]
}

fn permissions(facts: &TokenFacts, waba: Option<&str>) -> Finding {
    let missing: Vec<_> = SCOPES
        .into_iter()
        .filter(|scope| !facts.scopes.iter().any(|has| has == scope))
        .collect();
    if !missing.is_empty() {
        let detail = format!("the token lacks {}", missing.join(" and "));
        let remedy = "grant it to the app (App Review, Advanced Access) and make a new token";
        return Finding::problem("permissions", detail, remedy);
    }
    if let (Some(wabas), Some(waba)) = (&facts.wabas, waba)
        && !wabas.iter().any(|known| known == waba)
    {
        let detail = format!("the token is not for the account {waba}");
        let remedy = "use the token that the signup of this business gave, or assign the account to the system user";
        return Finding::problem("permissions", detail, remedy);
    }
    Finding::well("permissions", "the token has the permissions")
}

/// The account's numbers, each with its id. `meant`: the only one that is to be connected.
#[must_use]
pub fn numbers(told: &Told<Vec<(String, Told<NumberFacts>)>>, meant: Option<&str>) -> Vec<Finding> {
    let numbers = match told {
        Ok(numbers) => numbers,
        Err(cause) => {
            let detail = format!("Meta does not list the account's numbers: {cause}");
            let remedy =
                "look whether the id is the WhatsApp Business Account's and the token is for it";
            return vec![Finding::problem("account", detail, remedy)];
        }
    };
    let mut findings = vec![Finding::well(
        "account",
        format!("the account's numbers: {}", numbers.len()),
    )];
    let is_meant = |id: &str| meant.is_none_or(|meant| meant == id);
    for (id, facts) in numbers.iter().filter(|(id, _)| is_meant(id)) {
        findings.extend(match facts {
            Ok(facts) => number(id, facts),
            Err(cause) => vec![Finding::doubt(
                "number",
                format!("Meta does not say what {id} is: {cause}"),
                "ask again later",
            )],
        });
    }
    let fits = |(id, facts): &&(String, Told<NumberFacts>)| {
        is_meant(id) && facts.as_ref().is_ok_and(NumberFacts::coexists)
    };
    if numbers.iter().find(fits).is_none() {
        findings.push(Finding::problem(
            "number",
            match meant {
                Some(meant) => format!(
                    "{meant} is no number of the account that is in the WhatsApp Business app"
                ),
                None => "no number of the account is in the WhatsApp Business app".into(),
            },
            "have the business end the signup: it confirms in the app on its phone",
        ));
    }
    findings
}

/// One number: in the app, connected, of good quality.
#[must_use]
pub fn number(id: &str, facts: &NumberFacts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if facts.coexists() {
        let detail = format!("{id} is in the WhatsApp Business app and on the Cloud API");
        findings.push(Finding::well("number", detail));
    } else {
        let platform = facts.platform.as_deref().unwrap_or("not told");
        let on_app = match facts.is_on_biz_app {
            Some(true) => "yes",
            Some(false) => "no",
            None => "not told",
        };
        let detail = format!("{id} is not both: in the app: {on_app}, platform: {platform}");
        let remedy = "connect it anew through the signup if it should be; never register it";
        findings.push(Finding::doubt("number", detail, remedy));
    }
    if let Some(status) = facts.status.as_deref().filter(|word| *word != "CONNECTED") {
        let detail = format!("Meta says {status} of {id}");
        let remedy = "open the app on the phone, and look into WhatsApp Manager";
        findings.push(Finding::doubt("status", detail, remedy));
    }
    match facts.quality.as_deref() {
        Some(quality @ ("RED" | "YELLOW")) => findings.push(Finding::doubt(
            "quality",
            format!("the quality of {id} is {quality}"),
            "send fewer campaigns, and only to who wants them",
        )),
        Some(quality) => findings.push(Finding::well(
            "quality",
            format!("the quality of {id} is {quality}"),
        )),
        None => {}
    }
    findings
}

/// Whether the app gets the account's webhooks. `connecting`: it is subscribed in a moment if it is not.
#[must_use]
pub fn subscription(told: &Told<Vec<String>>, app: Option<&str>, connecting: bool) -> Finding {
    let check = "subscription";
    let apps = match told {
        Ok(apps) => apps,
        Err(cause) => {
            let detail = format!("Meta does not say who gets the account's webhooks: {cause}");
            let remedy = "grant whatsapp_business_management to the token";
            return Finding::problem(check, detail, remedy);
        }
    };
    let is_subscribed = match app {
        Some(app) => apps.iter().any(|subscribed| subscribed == app),
        None => !apps.is_empty(),
    };
    let others = apps.len().saturating_sub(usize::from(is_subscribed));
    match (is_subscribed, connecting) {
        (true, _) if others > 0 => Finding::well(
            check,
            format!(
                "the app gets the account's webhooks; {others} other apps too, so Meta may repeat some"
            ),
        ),
        (true, _) => Finding::well(check, "the app gets the account's webhooks"),
        (false, true) => Finding::well(
            check,
            "the app will be subscribed to the account's webhooks",
        ),
        (false, false) => Finding::problem(
            check,
            "the app does not get the account's webhooks",
            "connect the number again with duet number add, which subscribes it",
        ),
    }
}

/// The webhook fields that the app has subscribed to, where Meta tells them.
#[must_use]
pub fn fields(told: &Told<Vec<String>>) -> Finding {
    let check = "webhook-fields";
    let place = "in the app dashboard under WhatsApp, Configuration, subscribe to";
    let told = match told {
        Ok(told) => told,
        Err(cause) => {
            let detail = format!("Meta does not say which webhook fields the app has: {cause}");
            let remedy = format!("{place} {}, unless that is done", FIELDS_NEEDED.join(", "));
            return Finding::doubt(check, detail, remedy);
        }
    };
    let missing = |of: &[&'static str]| -> Vec<&'static str> {
        let has = |field: &&str| told.iter().any(|told| told == field);
        of.iter().copied().filter(|field| !has(field)).collect()
    };
    let (needed, useful) = (missing(&FIELDS_NEEDED), missing(&FIELDS_USEFUL));
    if !needed.is_empty() {
        let list = needed.join(", ");
        let detail = format!("the app is not subscribed to {list}");
        return Finding::problem(check, detail, format!("{place} {list}"));
    }
    if !useful.is_empty() {
        let list = useful.join(", ");
        let detail =
            format!("the app is not subscribed to {list}: some things are learnt late or never");
        return Finding::doubt(check, detail, format!("{place} {list}"));
    }
    Finding::well(check, "the app is subscribed to all fields")
}

/// Where a number's webhooks go.
#[must_use]
pub fn callback(id: &str, facts: &NumberFacts) -> Finding {
    match &facts.callback {
        Some(url) => Finding::well("callback", format!("the webhooks of {id} go to {url}")),
        None => Finding::doubt(
            "callback",
            format!("Meta does not say where the webhooks of {id} go"),
            "enter the address of /webhook in the app dashboard under WhatsApp, Configuration",
        ),
    }
}

/// How far our clock is from Meta's: windows and late words are judged by it.
#[must_use]
pub fn clock(metas_ms: i64, now_ms: i64) -> Finding {
    let apart_ms = now_ms.saturating_sub(metas_ms).saturating_abs();
    let detail = format!("the clock is {} s from Meta's", apart_ms / 1000);
    let remedy = "keep this machine's clock by NTP";
    if apart_ms >= CLOCK_WRONG_MS {
        Finding::problem("clock", detail, remedy)
    } else if apart_ms >= CLOCK_DOUBT_MS {
        Finding::doubt("clock", detail, remedy)
    } else {
        Finding::well("clock", "the clock agrees with Meta's")
    }
}

impl Verdict {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Well => "well",
            Verdict::Doubt => "doubt",
            Verdict::Problem => "problem",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    fn good() -> TokenFacts {
        TokenFacts {
            is_valid: true,
            scopes: SCOPES.map(str::to_owned).to_vec(),
            ..TokenFacts::default()
        }
    }

    fn both() -> NumberFacts {
        NumberFacts {
            is_on_biz_app: Some(true),
            platform: Some("CLOUD_API".into()),
            ..NumberFacts::default()
        }
    }

    #[test]
    fn a_token_is_judged_by_its_end_its_permissions_and_its_accounts() {
        let cases = [
            (Err("no answer in time".into()), Verdict::Doubt),
            (Ok(good()), Verdict::Well),
            (Ok(TokenFacts::default()), Verdict::Problem),
            (
                Ok(TokenFacts {
                    expires_ms: Some(NOW + DAY_MS),
                    ..good()
                }),
                Verdict::Doubt,
            ),
            (
                Ok(TokenFacts {
                    expires_ms: Some(NOW),
                    ..good()
                }),
                Verdict::Problem,
            ),
            (
                Ok(TokenFacts {
                    scopes: vec!["whatsapp_business_messaging".into()],
                    ..good()
                }),
                Verdict::Problem,
            ),
            (
                Ok(TokenFacts {
                    wabas: Some(vec!["1".into()]),
                    ..good()
                }),
                Verdict::Problem,
            ),
            (
                Ok(TokenFacts {
                    wabas: Some(vec!["1".into(), "2".into()]),
                    ..good()
                }),
                Verdict::Well,
            ),
        ];
        for (told, verdict) in cases {
            let findings = token(&told, Some("2"), NOW);
            assert_eq!(worst(&findings), verdict, "{told:?}: {findings:?}");
        }
    }

    #[test]
    fn one_number_in_the_app_is_enough_unless_another_is_meant() {
        let listed = Ok(vec![
            ("1".to_owned(), Ok(both())),
            ("2".to_owned(), Ok(NumberFacts::default())),
            ("3".to_owned(), Err("no answer in time".to_owned())),
        ]);
        for (meant, verdict) in [
            (None, Verdict::Doubt),
            (Some("1"), Verdict::Well),
            (Some("2"), Verdict::Problem),
            (Some("3"), Verdict::Problem),
            (Some("4"), Verdict::Problem),
        ] {
            assert_eq!(worst(&numbers(&listed, meant)), verdict, "{meant:?}");
        }
        let refused = Err("Meta refused with code 100".to_owned());
        assert_eq!(worst(&numbers(&refused, None)), Verdict::Problem);
    }

    #[test]
    fn webhooks_need_a_subscription_and_fields() {
        let apps = Ok(vec!["7".to_owned()]);
        for (app, connecting, verdict) in [
            (Some("7"), false, Verdict::Well),
            (Some("8"), false, Verdict::Problem),
            (Some("8"), true, Verdict::Well),
            (None, false, Verdict::Well),
        ] {
            assert_eq!(
                subscription(&apps, app, connecting).verdict,
                verdict,
                "{app:?}"
            );
        }
        let named = |names: &[&str]| Ok(names.iter().map(|name| (*name).to_owned()).collect());
        let all: Vec<_> = FIELDS_NEEDED.into_iter().chain(FIELDS_USEFUL).collect();
        assert_eq!(fields(&named(&all)).verdict, Verdict::Well);
        assert_eq!(fields(&named(&FIELDS_NEEDED)).verdict, Verdict::Doubt);
        for missing in 0..FIELDS_NEEDED.len() {
            let mut some = all.clone();
            let gone = some.remove(missing);
            let finding = fields(&named(&some));
            assert_eq!(finding.verdict, Verdict::Problem);
            assert!(finding.remedy.is_some_and(|remedy| remedy.ends_with(gone)));
        }
    }

    #[test]
    fn every_finding_that_is_not_well_has_a_remedy() {
        let findings = [
            token(&Err(String::new()), None, NOW),
            token(&Ok(TokenFacts::default()), None, NOW),
            numbers(&Err(String::new()), None),
            numbers(&Ok(Vec::new()), None),
            number("1", &NumberFacts::default()),
            vec![
                subscription(&Err(String::new()), None, false),
                fields(&Err(String::new())),
                callback("1", &NumberFacts::default()),
                clock(NOW, NOW + CLOCK_WRONG_MS),
                clock(NOW + CLOCK_DOUBT_MS, NOW),
            ],
        ];
        for finding in findings.concat() {
            assert_eq!(
                finding.remedy.is_some(),
                finding.verdict != Verdict::Well,
                "{finding:?}"
            );
        }
        assert_eq!(clock(NOW, NOW + 5_000).verdict, Verdict::Well);
    }
}
