//! What the phone's history brings, and what comes both with it and live.

use serde_json::json;

use crate::log::{Said, lock};
use crate::story::Story;

/// What is said now comes live so much later, behind the history.
const BEHIND_MS: u64 = 3000;

impl Story {
    pub(crate) async fn history_comes(&mut self) {
        let number = self.number();
        if self.told.contains(&number) {
            return;
        }
        self.told.push(number.clone());
        let dice = &mut self.dice;
        let plan = json!({
            "number": number, "conversations": 1 + dice.below(3), "messages": 3 + dice.below(20),
            "chunk_messages": 1 + dice.below(8), "shuffled": dice.percent(50), "complete_first": dice.percent(30),
            "lower_case": dice.percent(50), "declined": dice.percent(10), "without_envelope": dice.percent(50),
        });
        self.meta.play("history", &plan).await;
        lock(&self.log).tell(format_args!("history: {plan}"));
    }

    /// The history holds what came live as well, under ids that name another peer.
    pub(crate) async fn history_repeats(&mut self) {
        let number = self.number();
        self.history_repeats_of(&number).await;
    }

    async fn history_repeats_of(&mut self, number: &str) {
        let digits = self.world.digits(number);
        let mut said: Vec<(String, Said)> = {
            let log = lock(&self.log);
            let here = log
                .said
                .iter()
                .filter(|(id, said)| said.number == number && !log.changed.contains_key(*id));
            here.map(|(id, said)| (id.clone(), said.clone())).collect()
        };
        // The newest may still be on their way.
        said.sort_by(|(one, was), (other, is)| (is.at_ms, other).cmp(&(was.at_ms, one)));
        said.truncate(5);
        let mut threads = Vec::new();
        for (id, said) in said {
            let phone = &self.world.customers[said.customer];
            let peer = if said.by_phone { &digits } else { phone };
            let copy = duet_sim::rescoped(&id, peer).unwrap_or_default();
            let message = json!({
                "from": peer, "id": copy, "timestamp": (said.at_ms / 1000).to_string(), "type": "text",
                "text": {"body": "as it was"}, "history_context": {"status": "READ", "from_me": said.by_phone},
            });
            threads.push(json!({"id": phone, "messages": [message]}));
            lock(&self.log).copies.insert(copy, id);
        }
        let body = json!({"object": "whatsapp_business_account", "entry": [{"id": self.world.account(number), "changes": [{"field": "history",
            "value": {"messaging_product": "whatsapp", "metadata": {"display_phone_number": digits, "phone_number_id": number},
            "history": [{"metadata": {"phase": 0, "chunk_order": 1, "progress": 50}, "threads": threads}]}}]}]});
        lock(&self.log).tell(format_args!("history repeats: {body}"));
        self.meta.sim.raw_webhook(body.to_string());
    }

    /// The history holds what is still on its way: live it counts all the same.
    pub(crate) async fn history_overtakes(&mut self) {
        let (number, customer) = (self.number(), self.customer());
        let before = json!(self.meta.sim.mood().webhook);
        let slow = json!({"webhook": {"delay_ms": BEHIND_MS}, "phone_answers_ms": null});
        self.meta.mood(slow).await;
        self.phone_says(&number, customer).await;
        self.meta.mood(json!({"webhook": null})).await;
        self.history_repeats_of(&number).await;
        self.wait(BEHIND_MS + 1000).await;
        self.customer_says("after the history", &number, customer)
            .await;
        self.meta.mood(json!({"webhook": before})).await;
    }
}
