//! Holds what the gateway made of a flood against what was posted: every acknowledged element an event exactly
//! once, each conversation in order, each event's effects once, and no reply sent twice.
//!
//! It goes on from round to round, so that what an earlier round did wrong late is found as well.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

use anyhow::{Context, ensure};
use duet_sim::{Sent, Sim};
use serde_json::Value;

use crate::admin::Admin;
use crate::chain::{self, Reply};
use crate::flood::Posted;
use crate::wait::{Seen, until};

const OPEN: [&str; 3] = ["pending", "sending", "unknown"];

/// What was seen so far.
#[derive(Default)]
pub struct Checker {
    last_seq: i64,
    last_outbox: i64,
    last_sent: u64,
    /// Ids of all events.
    events: HashSet<String>,
    conversations: HashMap<String, Conversation>,
    /// Replies by the id of their event.
    replies: HashMap<String, Sending>,
    opaques: HashMap<String, u64>,
}

#[derive(Default)]
struct Conversation {
    /// Its texts so far, and the chain over them.
    count: u64,
    chain: String,
    /// The highest `seq` among what was answered 200 before now.
    settled_seq: i64,
}

/// A reply of `probe` in the outbox.
struct Sending {
    outbox: i64,
    customer: String,
    count: u64,
}

/// Figures of a round.
#[derive(Clone, Copy, Debug, Default)]
pub struct Round {
    pub bodies: usize,
    pub events: usize,
    pub effects: usize,
    pub sent: usize,
    /// Answers that were lost and never settled: dead letters.
    pub lost: usize,
}

impl AddAssign for Round {
    fn add_assign(&mut self, other: Round) {
        self.bodies += other.bodies;
        self.events += other.events;
        self.effects += other.effects;
        self.sent += other.sent;
        self.lost += other.lost;
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Round {
            bodies,
            events,
            effects,
            sent,
            lost,
        } = self;
        write!(
            f,
            "{bodies} bodies, {events} events, {effects} effects, {sent} sent, {lost} lost"
        )
    }
}

impl Checker {
    /// The newest row of the outbox that was checked.
    #[must_use]
    pub fn last_outbox(&self) -> i64 {
        self.last_outbox
    }

    /// Waits until everything that was acknowledged is handled and sent, then checks it.
    ///
    /// # Errors
    /// Names what is missing, doubled or out of order.
    pub async fn check(
        &mut self,
        posted: &[Posted],
        admin: &Admin,
        sim: &Sim,
        at_most: Duration,
    ) -> anyhow::Result<Round> {
        ensure!(
            posted.iter().all(|posted| posted.acknowledged),
            "a body was never acknowledged"
        );
        admin.intake_done(at_most).await?;
        let (events, texts) = self.check_events(posted, admin).await?;
        let rows = self.wait_for_effects(texts.len(), admin, at_most).await?;
        self.check_effects(&texts, &rows)?;
        let dead = admin.rows("dead-letters", "").await?;
        let dead: Vec<_> = dead
            .iter()
            .filter(|row| row.get("outbox").is_none_or(Value::is_null))
            .collect();
        ensure!(dead.is_empty(), "events died: {dead:?}");
        self.wait_for_sends(admin, at_most).await?;
        let (sent, lost) = self.check_sends(admin, sim, at_most).await?;
        self.last_outbox = rows
            .last()
            .and_then(|row| row.get("id")?.as_i64())
            .unwrap_or(self.last_outbox);
        Ok(Round {
            bodies: posted.len(),
            events,
            effects: rows.len(),
            sent,
            lost,
        })
    }

    /// All new events; the answer is their number, and the texts by conversation with chain and count.
    async fn check_events(
        &mut self,
        posted: &[Posted],
        admin: &Admin,
    ) -> anyhow::Result<(usize, HashMap<String, (String, Reply)>)> {
        let mut wanted: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        for element in posted.iter().flat_map(|posted| &posted.elements) {
            wanted.insert((element.kind, &element.wamid), 0);
        }
        let events = admin.rows_after("events", self.last_seq).await?;
        let mut texts = HashMap::new();
        let mut seqs: HashMap<&str, i64> = HashMap::new();
        for event in &events {
            let text = |pointer: &str| {
                event
                    .pointer(pointer)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
            };
            let seq = event
                .get("seq")
                .and_then(Value::as_i64)
                .context("an event without seq")?;
            ensure!(
                seq > self.last_seq,
                "seq {seq} comes after {}",
                self.last_seq
            );
            self.last_seq = seq;
            ensure!(
                self.events.insert(text("/id").to_owned()),
                "event {} twice: {event}",
                text("/id")
            );
            let (kind, wamid) = (text("/kind"), text("/body/id"));
            match wanted.get_mut(&(kind, wamid)) {
                Some(count) => *count += 1,
                // The sim's own words on what was sent.
                None => ensure!(kind.starts_with("status."), "nobody has posted {event}"),
            }
            if kind == "message.text" {
                seqs.insert(text("/body/id"), seq);
                let conversation = self
                    .conversations
                    .entry(text("/body/from").to_owned())
                    .or_default();
                conversation.count += 1;
                conversation.chain = chain::next(&conversation.chain, wamid);
                let reply = Reply {
                    build: String::new(),
                    label: String::new(),
                    event: text("/id").to_owned(),
                    count: conversation.count,
                    chain: conversation.chain.clone(),
                };
                texts.insert(
                    text("/id").to_owned(),
                    (text("/body/from").to_owned(), reply),
                );
            }
        }
        let missing: Vec<_> = wanted.iter().filter(|(_, count)| **count != 1).collect();
        ensure!(
            missing.is_empty(),
            "{} elements are not there exactly once, such as {:?}",
            missing.len(),
            missing.first()
        );
        self.check_order(posted, &seqs)?;
        Ok((events.len(), texts))
    }

    /// What was answered 200 before another was posted comes before it.
    fn check_order(&mut self, posted: &[Posted], seqs: &HashMap<&str, i64>) -> anyhow::Result<()> {
        for body in posted {
            let texts = body
                .elements
                .iter()
                .filter(|element| element.kind == "message.text");
            let mut newest = 0;
            for text in texts {
                let seq = seqs.get(text.wamid.as_str()).copied().unwrap_or_default();
                let conversation = self.conversations.entry(text.customer.clone()).or_default();
                ensure!(
                    seq > conversation.settled_seq && seq > newest,
                    "{} of {} has seq {seq}, yet {} was there before",
                    text.wamid,
                    text.customer,
                    conversation.settled_seq.max(newest)
                );
                newest = seq;
                if body.at_once {
                    conversation.settled_seq = seq;
                }
            }
        }
        for (wamid, customer) in posted
            .iter()
            .flat_map(|body| &body.elements)
            .map(|element| (&element.wamid, &element.customer))
        {
            if let (Some(seq), Some(conversation)) = (
                seqs.get(wamid.as_str()),
                self.conversations.get_mut(customer),
            ) {
                conversation.settled_seq = conversation.settled_seq.max(*seq);
            }
        }
        Ok(())
    }

    async fn wait_for_effects(
        &self,
        texts: usize,
        admin: &Admin,
        at_most: Duration,
    ) -> anyhow::Result<Vec<Value>> {
        until("every text has its effects", at_most, || async {
            let rows = admin.rows_after("outbox", self.last_outbox).await?;
            let seen = format!(
                "{} of {texts} replies; plugins: {:?}",
                rows.len(),
                admin.rows("plugins", "").await?
            );
            Ok(Seen::when(rows.len() >= texts, rows, || seen))
        })
        .await
    }

    /// Each text has exactly one reply, and it knows of exactly the texts before it.
    fn check_effects(
        &mut self,
        texts: &HashMap<String, (String, Reply)>,
        rows: &[Value],
    ) -> anyhow::Result<()> {
        for row in rows {
            let text = row
                .pointer("/message/text/body")
                .and_then(Value::as_str)
                .context("a row without text")?;
            let reply = Reply::read(text)?;
            let (customer, wanted) = texts
                .get(&reply.event)
                .with_context(|| format!("an effect without its event: {row}"))?;
            ensure!(
                (reply.count, &reply.chain) == (wanted.count, &wanted.chain),
                "in {customer} the reply is number {} with chain {}, not {} with {}",
                reply.count,
                reply.chain,
                wanted.count,
                wanted.chain
            );
            let sending = Sending {
                outbox: row
                    .get("id")
                    .and_then(Value::as_i64)
                    .context("a row without id")?,
                customer: customer.clone(),
                count: reply.count,
            };
            let before = self.replies.insert(reply.event.clone(), sending);
            ensure!(
                before.is_none(),
                "event {} has two replies in the outbox",
                reply.event
            );
        }
        ensure!(
            rows.len() == texts.len(),
            "{} replies for {} texts",
            rows.len(),
            texts.len()
        );
        Ok(())
    }

    async fn wait_for_sends(&self, admin: &Admin, at_most: Duration) -> anyhow::Result<()> {
        until("the outbox is empty", at_most, || async {
            for state in OPEN {
                let page = admin.get(&format!("/outbox?state={state}&limit=3")).await?;
                if page
                    .get("outbox")
                    .and_then(Value::as_array)
                    .is_some_and(|rows| !rows.is_empty())
                {
                    return Ok(Seen::NotYet(page.to_string()));
                }
            }
            Ok(Seen::Done(()))
        })
        .await
    }

    /// Nothing was sent twice or without a row, in each conversation in order, and each row says what became of it.
    async fn check_sends(
        &mut self,
        admin: &Admin,
        sim: &Sim,
        at_most: Duration,
    ) -> anyhow::Result<(usize, usize)> {
        let sent: Vec<Sent> = sim
            .sent()
            .into_iter()
            .filter(|sent| sent.seq > self.last_sent)
            .collect();
        let mut counts: HashMap<&str, u64> = HashMap::new();
        for one in &sent {
            self.last_sent = one.seq;
            let opaque = one.opaque.as_deref().context("a send without our mark")?;
            let times = self.opaques.entry(opaque.to_owned()).or_default();
            *times += 1;
            ensure!(*times == 1, "{opaque} was sent {times} times");
            let text = one
                .body
                .pointer("/text/body")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let reply = Reply::read(text)?;
            let row = self
                .replies
                .get(&reply.event)
                .with_context(|| format!("sent without a row: {text}"))?;
            ensure!(
                opaque.ends_with(&format!(":{}", row.outbox)),
                "{opaque} carries the reply of row {}",
                row.outbox
            );
            ensure!(
                row.customer == one.to,
                "the reply for {} went to {}",
                row.customer,
                one.to
            );
            let before = counts.insert(&row.customer, row.count).unwrap_or_default();
            ensure!(
                before < row.count,
                "in {} reply {} was sent after {before}",
                row.customer,
                row.count
            );
        }
        let by_row: HashSet<i64> = sent
            .iter()
            .filter_map(|sent| sent.opaque.as_deref()?.rsplit(':').next()?.parse().ok())
            .collect();
        // A late status may still correct a dead letter: it comes within the sim's delay.
        let lost = until("the outbox knows what was sent", at_most, || async {
            let rows = admin.rows_after("outbox", self.last_outbox).await?;
            let state = |row: &Value| {
                row.get("state")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            let id = |row: &Value| row.get("id").and_then(Value::as_i64).unwrap_or_default();
            let wrong: Vec<_> = rows
                .iter()
                .filter(|row| (state(row) == "sent") != by_row.contains(&id(row)))
                .collect();
            let lost = rows.iter().filter(|row| state(row) != "sent").count();
            Ok(Seen::when(wrong.is_empty(), lost, || {
                format!("{} rows differ, such as {:?}", wrong.len(), wrong.first())
            }))
        })
        .await?;
        Ok((sent.len(), lost))
    }
}
