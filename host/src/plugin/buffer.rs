//! What a run has read and what it wants to change, until dispatch commits both.

use std::collections::BTreeMap;

use duet_rules::annotations::{Annotation, Marks, Note, SHOWN_MAX};
use duet_rules::cases::{Case, CaseEntry};

use super::fault::Stop;
use super::world::{Unavailable, World};
use crate::effect::{Agent, Effect, Handling, ListRead, Reads};

/// A value to be kept, and until when, ms since 1970.
type Kept = (Vec<u8>, Option<i64>);

/// The run's reads and effects. Later reads see earlier writes.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    effects_max: u64,
    store_bytes_max: u64,
    /// Of all values written, those written again included.
    store_bytes: u64,
    /// The last write to each key; `None` deletes.
    writes: BTreeMap<String, Option<Kept>>,
    /// All other effects, in the order they were made.
    acts: Vec<Effect>,
    reads: Reads,
}

impl Buffer {
    pub(super) fn new(effects_max: u64, store_bytes_max: u64) -> Self {
        Buffer {
            effects_max,
            store_bytes_max,
            ..Buffer::default()
        }
    }

    pub(super) fn into_parts(self) -> (Vec<Effect>, Reads) {
        let writes = self.writes.into_iter().map(|(key, kept)| match kept {
            Some((value, expires_ms)) => Effect::Set {
                key,
                value,
                expires_ms,
            },
            None => Effect::Delete { key },
        });
        (writes.chain(self.acts).collect(), self.reads)
    }

    /// Replaces an earlier write to the key; only the last one is an effect.
    pub(super) fn write(&mut self, key: String, kept: Option<Kept>) -> Result<(), Stop> {
        let bytes = kept.as_ref().map_or(0, |(value, _)| {
            u64::try_from(value.len()).unwrap_or(u64::MAX)
        });
        self.store_bytes = self.store_bytes.saturating_add(bytes);
        if self.store_bytes > self.store_bytes_max {
            return Err(Stop::StoreBytes);
        }
        if !self.writes.contains_key(&key) {
            self.room()?;
        }
        self.writes.insert(key, kept);
        Ok(())
    }

    pub(super) fn act(&mut self, effect: Effect) -> Result<(), Stop> {
        self.room()?;
        self.acts.push(effect);
        Ok(())
    }

    /// The same effect again is none.
    pub(super) fn act_once(&mut self, effect: Effect) -> Result<(), Stop> {
        match self.acts.contains(&effect) {
            true => Ok(()),
            false => self.act(effect),
        }
    }

    fn room(&self) -> Result<(), Stop> {
        let effects = u64::try_from(self.writes.len() + self.acts.len()).unwrap_or(u64::MAX);
        if effects < self.effects_max {
            Ok(())
        } else {
            Err(Stop::Effects)
        }
    }

    /// What this run itself has made of a conversation.
    pub(super) fn handling(&self, id: i64) -> Option<(Handling, Option<&Agent>, Option<i64>)> {
        self.acts.iter().rev().find_map(|effect| match effect {
            Effect::Handle {
                conversation,
                handling,
                agent,
                until_ms,
            } if *conversation == id => Some((*handling, agent.as_ref(), *until_ms)),
            _ => None,
        })
    }

    /// A case of the instance's own, as this run has left what is `stored`.
    pub(super) fn case(
        &self,
        instance: &str,
        key: &str,
        stored: Option<CaseEntry>,
        now_ms: i64,
    ) -> Option<CaseEntry> {
        let opened = |conversation: i64, case: &Case| CaseEntry {
            instance: instance.to_owned(),
            conversation,
            case: case.clone(),
            opened_ms: now_ms,
            closed_ms: None,
        };
        let mut entry = stored;
        for effect in &self.acts {
            match (effect, &mut entry) {
                (Effect::OpenCase { conversation, case }, was) if case.key == key => match was {
                    Some(was) if was.closed_ms.is_none() => was.case.clone_from(case),
                    _ => entry = Some(opened(*conversation, case)),
                },
                (Effect::ChangeCase { case }, Some(was)) if case.key == key => {
                    was.case.clone_from(case);
                }
                (Effect::CloseCase { key: closed }, Some(was)) if closed == key => {
                    was.closed_ms = was.closed_ms.or(Some(now_ms));
                }
                _ => {}
            }
        }
        entry
    }

    /// The cases of a conversation, the newest first, as this run has left what is `stored`.
    pub(super) fn cases(
        &self,
        instance: &str,
        conversation: i64,
        stored: Vec<CaseEntry>,
        now_ms: i64,
    ) -> Vec<CaseEntry> {
        let is_own =
            |entry: &CaseEntry, key: &str| entry.instance == instance && entry.case.key == key;
        let opened = self.acts.iter().filter_map(|effect| match effect {
            Effect::OpenCase {
                conversation: id,
                case,
            } if *id == conversation => Some(&case.key),
            _ => None,
        });
        let mut new: Vec<&String> = Vec::new();
        for key in opened {
            if !new.contains(&key) && !stored.iter().any(|entry| is_own(entry, key)) {
                new.insert(0, key);
            }
        }
        let new = new
            .into_iter()
            .filter_map(|key| self.case(instance, key, None, now_ms));
        let new: Vec<CaseEntry> = new.collect();
        let stored = stored
            .into_iter()
            .map(|entry| match entry.instance == instance {
                true => {
                    let key = entry.case.key.clone();
                    self.case(instance, &key, Some(entry.clone()), now_ms)
                        .unwrap_or(entry)
                }
                false => entry,
            });
        new.into_iter().chain(stored).collect()
    }

    /// Labels and assignee of a conversation, as this run has left what is `stored`.
    pub(super) fn marks(&self, conversation: i64, stored: Marks) -> Marks {
        let mut marks = stored;
        for annotation in self.annotations(conversation) {
            // What is refused at the commit is not seen here either.
            let _ = marks.apply(annotation);
        }
        marks
    }

    /// The notes of a conversation, the newest first, as this run of `author` has left what is `stored`.
    pub(super) fn notes(
        &self,
        author: &str,
        conversation: i64,
        stored: Vec<Note>,
        now_ms: i64,
    ) -> Vec<Note> {
        let mut notes = stored;
        for annotation in self.annotations(conversation) {
            let Annotation::Note(note) = annotation else {
                continue;
            };
            let is_same = |other: &Note| other.author == author && other.note.key == note.key;
            if note.key.is_some() && notes.iter().any(is_same) {
                continue;
            }
            notes.insert(
                0,
                Note {
                    author: author.to_owned(),
                    note: note.clone(),
                    at_ms: now_ms,
                },
            );
        }
        notes.truncate(SHOWN_MAX);
        notes
    }

    fn annotations(&self, id: i64) -> impl Iterator<Item = &Annotation> {
        self.acts.iter().filter_map(move |effect| match effect {
            Effect::Annotate {
                conversation,
                annotation,
            } if *conversation == id => Some(annotation),
            _ => None,
        })
    }

    pub(super) async fn get(
        &mut self,
        world: &dyn World,
        key: &str,
    ) -> Result<Option<Vec<u8>>, Unavailable> {
        if let Some(kept) = self.writes.get(key) {
            return Ok(kept.as_ref().map(|(value, _)| value.clone()));
        }
        let value = world.kv_get(key).await?;
        self.reads.note(key, value.as_deref());
        Ok(value)
    }

    /// Writes if what is there is what was expected. Either way that is among the run's reads, so it still holds at
    /// the commit.
    pub(super) async fn compare_and_set(
        &mut self,
        world: &dyn World,
        key: String,
        expected: Option<&[u8]>,
        kept: Option<Kept>,
    ) -> Result<bool, Stop> {
        if self.get(world, &key).await?.as_deref() != expected {
            return Ok(false);
        }
        self.write(key, kept)?;
        Ok(true)
    }

    /// At most `limit` keys behind `after`: the store's, less those deleted here, with those written here.
    pub(super) async fn list(
        &mut self,
        world: &dyn World,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, Unavailable> {
        // Each deleted key may hide one of the store's, so ask for as many more.
        let deleted = self.writes.values().filter(|kept| kept.is_none()).count();
        let asked = limit.saturating_add(deleted);
        let stored = world.kv_list(prefix, after, asked).await?;
        let complete = stored.len() < asked;
        let last = stored.last().cloned().unwrap_or_default();
        let read = ListRead {
            prefix: prefix.to_owned(),
            after: after.map(str::to_owned),
            limit: asked,
            keys: stored.clone(),
        };
        // Asked for again and again, it is compared once.
        if !self.reads.lists.contains(&read) {
            self.reads.lists.push(read);
        }

        let mut keys: std::collections::BTreeSet<String> = stored.into_iter().collect();
        for (key, kept) in self
            .writes
            .iter()
            .filter(|(key, _)| key.starts_with(prefix))
        {
            let in_view =
                after.is_none_or(|after| key.as_str() > after) && (complete || *key <= last);
            match kept {
                Some(_) if in_view => {
                    keys.insert(key.clone());
                }
                Some(_) => {}
                None => {
                    keys.remove(key);
                }
            }
        }
        Ok(keys.into_iter().take(limit).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Send;
    use duet_rules::annotations::NewNote;
    use duet_rules::media::Digest;
    use duet_rules::sending::Refusal;

    use crate::event::ContactView;
    use crate::outbound::{Answered, Outgoing};
    use crate::plugin::world::{Answer, Attachment, ConversationState, KeptFile, NewFile};

    /// A store whose keys have themselves as value.
    struct Keys(Vec<&'static str>);

    impl World for Keys {
        fn kv_get<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Vec<u8>>> {
            Box::pin(async move { Ok(self.0.contains(&key).then(|| key.into())) })
        }

        fn kv_list<'a>(
            &'a self,
            prefix: &'a str,
            after: Option<&'a str>,
            limit: usize,
        ) -> Answer<'a, Vec<String>> {
            let after = after.unwrap_or_default();
            let keys = self
                .0
                .iter()
                .filter(move |key| key.starts_with(prefix) && **key > after);
            Box::pin(async move { Ok(keys.take(limit).map(|key| (*key).to_owned()).collect()) })
        }

        fn conversation(&self, _: i64) -> Answer<'_, Option<ConversationState>> {
            Box::pin(async { Ok(None) })
        }

        fn contact(&self, _: i64) -> Answer<'_, Option<ContactView>> {
            Box::pin(async { Ok(None) })
        }

        fn refuse<'a>(&'a self, _: &'a Send, _: Option<Handling>) -> Answer<'a, Option<Refusal>> {
            Box::pin(async { Ok(None) })
        }

        fn call(&self, _: Vec<Outgoing>) -> Answer<'_, Vec<Answered>> {
            Box::pin(async { Ok(Vec::new()) })
        }

        fn attachment<'a>(&'a self, _: i64, _: &'a str) -> Answer<'a, Option<Attachment>> {
            Box::pin(async { Ok(None) })
        }

        fn file(&self, _: Digest) -> Answer<'_, Option<KeptFile>> {
            Box::pin(async { Ok(None) })
        }

        fn read_file(&self, _: Digest, _: u64, _: u32) -> Answer<'_, Option<Vec<u8>>> {
            Box::pin(async { Ok(None) })
        }

        fn keep_file(&self, _: NewFile) -> Answer<'_, Result<Digest, String>> {
            Box::pin(async { Ok(Err("no".into())) })
        }

        fn case<'a>(&'a self, _: &'a str) -> Answer<'a, Option<CaseEntry>> {
            Box::pin(async { Ok(None) })
        }

        fn cases(&self, _: i64) -> Answer<'_, Vec<CaseEntry>> {
            Box::pin(async { Ok(Vec::new()) })
        }

        fn marks(&self, _: i64) -> Answer<'_, Marks> {
            Box::pin(async { Ok(Marks::default()) })
        }

        fn notes(&self, _: i64) -> Answer<'_, Vec<Note>> {
            Box::pin(async { Ok(Vec::new()) })
        }
    }

    /// `+key` sets, `-key` deletes.
    fn buffer(writes: &[&str]) -> Buffer {
        let mut buffer = Buffer::new(100, 1000);
        for write in writes {
            let kept = write.starts_with('+').then(|| (b"new".to_vec(), None));
            buffer.write(write[1..].to_owned(), kept).unwrap();
        }
        buffer
    }

    #[tokio::test]
    async fn lists_show_the_runs_own_writes() {
        let world = Keys(vec!["a1", "a2", "a4", "b1"]);
        /// Writes, `after`, limit, and the keys of the answer.
        type Case<'a> = (&'a [&'a str], Option<&'a str>, usize, &'a [&'a str]);
        let cases: [Case<'_>; 7] = [
            (&[], None, 10, &["a1", "a2", "a4"]),
            (&["+a3", "+b2"], None, 10, &["a1", "a2", "a3", "a4"]),
            (&["-a1", "-a2"], None, 1, &["a4"]),
            // Behind the last key of a page there may be more of the store's: a9 is not next to a1.
            (&["+a9"], None, 1, &["a1"]),
            (&["+a3"], Some("a2"), 10, &["a3", "a4"]),
            (&["+a0"], Some("a2"), 10, &["a4"]),
            (&["+a5", "-a4"], Some("a2"), 10, &["a5"]),
        ];
        for (writes, after, limit, expected) in cases {
            let listed = buffer(writes)
                .list(&world, "a", after, limit)
                .await
                .unwrap();
            assert_eq!(listed, expected, "{writes:?} after {after:?}");
        }
    }

    #[tokio::test]
    async fn only_what_the_store_answered_counts_as_read() {
        let mut buffer = buffer(&["+a1", "-a2"]);
        let world = Keys(vec!["a1", "a2", "a4"]);
        assert_eq!(
            buffer.get(&world, "a1").await.unwrap().as_deref(),
            Some(&b"new"[..])
        );
        assert_eq!(buffer.get(&world, "a2").await.unwrap(), None);
        assert_eq!(
            buffer.get(&world, "a4").await.unwrap().as_deref(),
            Some(&b"a4"[..])
        );
        assert_eq!(buffer.get(&world, "a5").await.unwrap(), None);
        let (_, reads) = buffer.into_parts();
        let expected = [
            ("a4".to_owned(), Reads::seen(Some(b"a4"))),
            ("a5".to_owned(), None),
        ];
        assert_eq!(reads.keys, expected.into());
        assert!(!reads.torn);
    }

    #[tokio::test]
    async fn what_was_compared_is_read_whatever_the_answer() {
        let world = Keys(vec!["a1", "a2"]);
        let mut buffer = buffer(&["+a3"]);
        let new = || Some((b"new".to_vec(), None));
        /// Key, what is expected, what becomes of it, and whether it does.
        type Case<'a> = (&'a str, Option<&'a [u8]>, Option<Kept>, bool);
        let cases: [Case<'_>; 8] = [
            ("a1", Some(b"a1"), new(), true),
            ("a1", Some(b"a1"), new(), false),
            ("a1", Some(b"new"), None, true),
            ("a1", None, new(), true),
            ("a2", None, new(), false),
            ("a3", Some(b"new"), None, true),
            ("a4", Some(b""), new(), false),
            ("a5", None, None, true),
        ];
        for (key, expected, kept, set) in cases {
            let done = buffer.compare_and_set(&world, key.into(), expected, kept);
            assert_eq!(done.await.unwrap(), set, "{key} with {expected:?}");
        }
        let (effects, reads) = buffer.into_parts();
        let set = |key: &str| Effect::Set {
            key: key.into(),
            value: b"new".to_vec(),
            expires_ms: None,
        };
        let delete = |key: &str| Effect::Delete { key: key.into() };
        assert_eq!(effects, [set("a1"), delete("a3"), delete("a5")]);
        // Not a3, which the run has written before it compared.
        let expected = [
            ("a1".to_owned(), Reads::seen(Some(b"a1"))),
            ("a2".to_owned(), Reads::seen(Some(b"a2"))),
            ("a4".to_owned(), None),
            ("a5".to_owned(), None),
        ];
        assert_eq!(reads.keys, expected.into());
    }

    #[test]
    fn cases_are_seen_as_the_run_has_left_them() {
        let case = |key: &str, status: &str| Case {
            key: key.into(),
            title: None,
            url: None,
            status: Some(status.into()),
            assignee: None,
        };
        let stored = |instance: &str, key: &str, closed_ms| CaseEntry {
            instance: instance.into(),
            conversation: 7,
            case: case(key, "old"),
            opened_ms: 1,
            closed_ms,
        };
        let open = |key: &str| Effect::OpenCase {
            conversation: 7,
            case: case(key, "new"),
        };
        let close = |key: &str| Effect::CloseCase { key: key.into() };
        let change = Effect::ChangeCase {
            case: case("b", "new"),
        };
        let mut buffer = buffer(&[]);
        for act in [
            open("c"),
            open("a"),
            change,
            close("a"),
            open("d"),
            close("d"),
        ] {
            buffer.act(act).unwrap();
        }
        let there = vec![
            stored("desk", "a", None),
            stored("desk", "b", Some(2)),
            stored("csat", "a", None),
        ];
        let seen = buffer.cases("desk", 7, there, 9);
        let told: Vec<String> = seen
            .iter()
            .map(|entry| {
                let status = entry.case.status.as_deref().unwrap();
                let (at, until) = (entry.opened_ms, entry.closed_ms);
                format!(
                    "{} {} {status} {at} {until:?}",
                    entry.instance, entry.case.key
                )
            })
            .collect();
        let expect = [
            "desk d new 9 Some(9)",
            "desk c new 9 None",
            "desk a new 1 Some(9)",
            "desk b new 1 Some(2)",
            "csat a old 1 None",
        ];
        assert_eq!(told, expect);
        let again = buffer.case("desk", "c", Some(stored("desk", "c", Some(3))), 9);
        let again = again.unwrap();
        assert_eq!((again.opened_ms, again.closed_ms), (9, None));
    }

    #[test]
    fn notes_and_marks_are_seen_as_the_run_has_left_them() {
        let note = |key: Option<&str>, text: &str| NewNote {
            key: key.map(Into::into),
            text: text.into(),
            agent: None,
        };
        let mut buffer = Buffer::new(100, 100);
        let here = |annotation| (7, annotation);
        for (conversation, annotation) in [
            here(Annotation::Note(note(Some("a"), "known"))),
            here(Annotation::Note(note(Some("b"), "first"))),
            here(Annotation::Note(note(Some("b"), "second"))),
            here(Annotation::Note(note(None, "third"))),
            here(Annotation::AddLabel("new".into())),
            here(Annotation::RemoveLabel("old".into())),
            here(Annotation::RemoveLabel("again".into())),
            here(Annotation::AddLabel("again".into())),
            here(Annotation::Assign(None)),
            (8, Annotation::AddLabel("elsewhere".into())),
        ] {
            let effect = Effect::Annotate {
                conversation,
                annotation,
            };
            buffer.act(effect).unwrap();
        }
        let stored = |author: &str, key, text| Note {
            author: author.into(),
            note: note(key, text),
            at_ms: 1,
        };
        let there = vec![
            stored("csat", Some("b"), "another's"),
            stored("desk", Some("a"), "as it was"),
        ];
        let seen = buffer.notes("desk", 7, there, 9).into_iter();
        let seen: Vec<_> = seen.map(|note| (note.note.text, note.at_ms)).collect();
        let expect = [
            ("third", 9),
            ("first", 9),
            ("another's", 1),
            ("as it was", 1),
        ];
        assert_eq!(seen, expect.map(|(text, at_ms)| (text.to_owned(), at_ms)));
        let there = Marks {
            labels: ["again".into(), "old".into()].into(),
            assignee: Some(Agent {
                id: "3".into(),
                name: None,
            }),
        };
        let marks = buffer.marks(7, there);
        assert_eq!(marks.labels, ["again".into(), "new".into()].into());
        assert_eq!(marks.assignee, None);
    }

    #[tokio::test]
    async fn two_values_under_one_key_are_torn() {
        let mut buffer = buffer(&[]);
        buffer.get(&Keys(vec![]), "a1").await.unwrap();
        buffer.get(&Keys(vec!["a1"]), "a1").await.unwrap();
        assert!(buffer.into_parts().1.torn);
    }
}
