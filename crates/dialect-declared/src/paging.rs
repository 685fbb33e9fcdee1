//! Parts of an answer that a wire asks for: a page, or what is not older than a message.

use std::borrow::Cow;
use tolmach_domain::{Answer, Command, HistoryRange};

/// The part of a list that a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    limit: u32,
    offset: u32,
}

/// The facts about its page that a response can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageFacts {
    /// The offset of the next page; `None` on the last one.
    pub(crate) next: Option<i64>,
    /// The number of items, exact on the last page. Before that it counts one item of the next
    /// page: the model has no total.
    pub(crate) total: i64,
}

impl Page {
    /// The page of a command, which from then on asks for one item more: that item shows if there
    /// is a next page. `None` for a command without pages.
    pub(crate) fn of(command: &mut Command) -> Option<Self> {
        let (limit, offset) = match command {
            Command::ListFlows { limit: Some(limit), offset, .. } => (limit, *offset),
            Command::History { range: HistoryRange::Newest { limit, offset }, .. } => {
                (limit, *offset)
            }
            _ => return None,
        };
        let page = Self { limit: *limit, offset };
        *limit = limit.saturating_add(1);
        Some(page)
    }

    /// The answer without the item of the next page, and what is known of the page.
    pub(crate) fn cut<'a>(self, answer: Cow<'a, Answer>) -> (Cow<'a, Answer>, PageFacts) {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let length = match answer.as_ref() {
            Answer::Flows(flows) => flows.len(),
            Answer::History(page) => page.messages.len(),
            _ => 0,
        };
        let facts = PageFacts {
            next: (length > limit).then(|| i64::from(self.offset) + i64::from(self.limit)),
            total: i64::from(self.offset) + i64::try_from(length).unwrap_or(i64::MAX),
        };
        if length <= limit {
            return (answer, facts);
        }
        let mut answer = answer.into_owned();
        match &mut answer {
            Answer::Flows(flows) => flows.truncate(limit),
            // The oldest message is the first.
            Answer::History(page) => drop(page.messages.drain(..length - limit)),
            _ => {}
        }
        (Cow::Owned(answer), facts)
    }
}

/// A history without the messages whose ids are below `from`.
pub(crate) fn not_older(answer: &Answer, from: Option<i64>) -> Cow<'_, Answer> {
    match (answer, from) {
        (Answer::History(page), Some(from)) => {
            let mut page = page.clone();
            page.messages.retain(|message| message.id.get() >= from);
            Cow::Owned(Answer::History(page))
        }
        _ => Cow::Borrowed(answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_dialect_kit::fixtures::{CHAT, flow_id, flow_summary, message};
    use tolmach_domain::{FlowKindFilter, MessagePage};

    fn flows(count: usize) -> Answer {
        Answer::Flows(vec![flow_summary(CHAT, false); count])
    }

    #[test]
    fn a_page_that_is_just_full_is_the_last_and_one_item_more_is_not() {
        let mut command = Command::ListFlows { limit: Some(2), offset: 4, members: false };
        let page = Page::of(&mut command).unwrap();
        assert!(matches!(command, Command::ListFlows { limit: Some(3), .. }));
        let (answer, facts) = page.cut(Cow::Owned(flows(2)));
        assert_eq!(facts, PageFacts { next: None, total: 6 });
        assert_eq!(*answer, flows(2));
        let (answer, facts) = page.cut(Cow::Owned(flows(3)));
        assert_eq!(facts, PageFacts { next: Some(6), total: 7 });
        assert_eq!(*answer, flows(2));
    }

    #[test]
    fn a_page_of_a_history_keeps_its_newest_messages() {
        let mut command = Command::History {
            flow: flow_id(CHAT),
            kinds: FlowKindFilter::Any,
            range: HistoryRange::Newest { limit: 1, offset: 0 },
            mark_read: false,
        };
        let page = Page::of(&mut command).unwrap();
        let messages = vec![message(CHAT, 1), message(CHAT, 2)];
        let history =
            |messages| Answer::History(Box::new(MessagePage::new(flow_id(CHAT), messages)));
        let (answer, facts) = page.cut(Cow::Owned(history(messages)));
        assert_eq!(facts.next, Some(1));
        assert_eq!(*answer, history(vec![message(CHAT, 2)]));
    }

    #[test]
    fn messages_before_the_first_wanted_one_are_left_out() {
        let (older, wanted) = (message(CHAT, 1), message(CHAT, 2));
        let from = Some(wanted.id.get());
        let history =
            |messages| Answer::History(Box::new(MessagePage::new(flow_id(CHAT), messages)));
        let all = history(vec![older, wanted.clone()]);
        assert_eq!(*not_older(&all, from), history(vec![wanted]));
        assert_eq!(*not_older(&all, None), all);
    }
}
