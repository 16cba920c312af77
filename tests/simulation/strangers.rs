//! Somebody new is known by a phone here and by a user id there, until one message names both.

use duet::effect::Handling;
use serde_json::json;

use crate::story::Story;

/// New people in a story at most.
const PEOPLE_MAX: usize = 9;

/// What a message tells of its author: whether the phone is hidden, and the user id.
type Face = (bool, bool);
const BY_PHONE: Face = (false, true);
const BY_USER_ID: Face = (true, false);
const BY_BOTH: Face = (false, false);

impl Story {
    pub(crate) async fn stranger_writes(&mut self) {
        let known = self.world.customers.len();
        if known >= PEOPLE_MAX || !self.world.one_account {
            return self.customer_writes().await;
        }
        self.world
            .customers
            .push(format!("91980000000{}", known + 1));
        let number = self.number();
        let mut faces = [BY_PHONE, BY_USER_ID, BY_BOTH];
        if self.dice.percent(50) {
            faces.swap(0, 1);
        }
        let stops = self.dice.below(6);
        for (at, face) in (0..).zip(faces) {
            let text = if at == stops {
                "STOP".into()
            } else {
                self.mark("who is it")
            };
            self.shows(face, &text, &number, known).await;
            self.wait(self.dice_ms(5000)).await;
            if self.dice.percent(40) {
                self.somebody_takes_it(&number, known).await;
            }
        }
        self.wait(4000).await;
        let face = *self.dice.pick(&[BY_PHONE, BY_USER_ID]);
        let text = self.mark("it is me");
        self.shows(face, &text, &number, known).await;
        if stops < 3 {
            self.advertise(&number).await;
        }
    }

    async fn shows(&mut self, (phone, user_id): Face, text: &str, number: &str, customer: usize) {
        let body = json!({"number": number, "from": self.world.customers[customer], "text": text,
            "hide_phone": phone, "hide_user_id": user_id});
        self.customer_posts(&body, text, number, customer).await;
    }

    async fn somebody_takes_it(&mut self, number: &str, customer: usize) {
        if self.dice.percent(50) {
            self.phone_says(number, customer).await;
        } else {
            self.agent_gives(number, customer, Handling::Person).await;
        }
    }
}
