//! What a key asks for.

use super::{find, nobody, routes};
use mailhatch::route::Unrouted;

const LEGACY: &str = "59d8df8370b7e95c5a49fbf86aeb2c93";
const PARTITIONED: &str = "rs-0000000000000000000000abc-rs";

/// The action and the captures of a key, as a row writes them; `none` if it has no known form.
fn read(actions: &str, key: &str) -> String {
    let routes = routes(&[&format!("name = \"m\"\naddress = \"incoming+%{{key}}@example.com\"\n{actions}")]);
    match find(&routes, &format!("To: incoming+{key}@example.com"), &nobody()) {
        Ok(route) => {
            let captures: Vec<_> = route.captures.iter().map(|(name, text)| format!("{name}={text}")).collect();
            format!("{} {}", route.action, captures.join(" ")).trim_end().to_owned()
        }
        Err(Unrouted::UnknownAction { .. }) => "none".to_owned(),
        Err(Unrouted::NoMailbox) => "no mailbox".to_owned(),
    }
}

#[test]
fn gitlab_keys_have_the_actions_of_gitlab() {
    let reply = |key: &str| format!("reply reply_key={key}");
    let rows: &[(&str, &str, &str, &str)] = &[
        ("3.2", "reply, legacy", LEGACY, &reply(LEGACY)),
        ("3.2", "reply, partitioned", PARTITIONED, &reply(PARTITIONED)),
        ("3.1", "without namespace", "a-0000000000000000000000abc", &reply("a-0000000000000000000000abc")),
        ("3.1", "partition too long", "abcde-0000000000000000000000abc", "none"),
        ("3.1", "middle too short", "a-000000000000000000000abc", "none"),
        ("3.1", "namespace too long", "a-0000000000000000000000abc-00000000000000", "none"),
        ("3.1", "a part too many", "a-0000000000000000000000abc-1-1", "none"),
        ("3.2", "upper-case hex", "59D8DF8370B7E95C5A49FBF86AEB2C93", "none"),
        ("3.2", "31 digits", &LEGACY[1..], "none"),
        (
            "3.2",
            "issue",
            "gitlab-org-gitlab-ce-20-TOKEN-issue",
            "issue project_id=20 project_slug=gitlab-org-gitlab-ce token=TOKEN",
        ),
        (
            "3.1",
            "a token with dashes",
            "a-b-7-glimt-x-Y_z-issue",
            "issue project_id=7 project_slug=a-b token=glimt-x-Y_z",
        ),
        (
            "3.2",
            "the last possible split",
            "foo-1-a-issue-2-b-issue",
            "issue project_id=2 project_slug=foo-1-a-issue token=b",
        ),
        ("3.2", "issue, no token", "a-b-7--issue", "none"),
        ("3.2", "issue, no id", "a-b-TOKEN-issue", "none"),
        ("3.2", "issue, slash", "a/b-7-TOKEN-issue", "service-desk project_path=a/b-7-TOKEN-issue"),
        ("3.2", "issue, legacy", "gitlab-org/gitlab-ce+TOKEN", "issue project_path=gitlab-org/gitlab-ce token=TOKEN"),
        ("3.2", "issue, legacy, any x+y", "x+y", "issue project_path=x token=y"),
        ("3.2", "issue, legacy, no project", "+tok", "issue project_path= token=tok"),
        ("3.2", "issue, legacy, no token", "a+", "issue project_path=a token="),
        ("3.2", "a+b+c is nobody's", "a+b+c", "none"),
        (
            "3.2",
            "issue note",
            "gitlab-org-gitlab-ce-20-TOKEN-issue-34",
            "issue-note issue_iid=34 project_id=20 project_slug=gitlab-org-gitlab-ce token=TOKEN",
        ),
        (
            "3.2",
            "issue note may hold a slash",
            "a/b-20-TOKEN-issue-34",
            "issue-note issue_iid=34 project_id=20 project_slug=a/b token=TOKEN",
        ),
        ("3.2", "unsubscribe", &format!("{LEGACY}-unsubscribe"), &format!("unsubscribe reply_key={LEGACY}")),
        (
            "3.2",
            "unsubscribe, partitioned",
            &format!("{PARTITIONED}-unsubscribe"),
            &format!("unsubscribe reply_key={PARTITIONED}"),
        ),
        ("3.2", "unsubscribe, legacy", &format!("{LEGACY}+unsubscribe"), &format!("unsubscribe reply_key={LEGACY}")),
        ("3.2", "unsubscribe from no key", "abc-unsubscribe", "none"),
        ("3.2", "unsubscribe from no key, legacy", "abc+unsubscribe", "none"),
        (
            "3.2",
            "merge request",
            "gitlab-org-gitlab-ce-20-TOKEN-merge-request",
            "merge-request project_id=20 project_slug=gitlab-org-gitlab-ce token=TOKEN",
        ),
        (
            "3.2",
            "merge request, legacy",
            "gitlab-org/gitlab-ce+merge-request+TOKEN",
            "merge-request project_path=gitlab-org/gitlab-ce token=TOKEN",
        ),
        ("3.2", "merge request, legacy, no end", "a/b+merge-request+x+y", "merge-request project_path=a/b token=x+y"),
        (
            "3.2",
            "service desk",
            "gitlab-org-gitlab-ce-20-issue-",
            "service-desk project_id=20 project_slug=gitlab-org-gitlab-ce",
        ),
        ("3.2", "service desk, no id", "gitlab-issue-", "none"),
        ("3.2", "service desk, legacy", "gitlab-org/gitlab-ce", "service-desk project_path=gitlab-org/gitlab-ce"),
        ("3.2", "a project key is for the other mailbox", "gitlab-org-mykey", "none"),
        ("3.2", "nobody's", "nothing", "none"),
    ];
    for (section, name, key, wanted) in rows {
        assert_eq!(read("actions = \"gitlab\"", key), *wanted, "{section} {name}: {key}");
    }
}

#[test]
fn other_mailboxes_have_other_actions() {
    let custom = "[[mailbox.action]]\nname = \"ticket\"\npattern = 't(?<number>\\d+)(-(?<word>x))?'\n\
                  [[mailbox.action]]\nname = \"other\"\npattern = 'a|ab'";
    let rows: &[(&str, &str, &str, &str)] = &[
        ("any", "actions = \"any\"", "whatever", "message"),
        (
            "service desk, id",
            "actions = \"gitlab-service-desk\"",
            "a-b-20-issue-",
            "service-desk project_id=20 project_slug=a-b",
        ),
        (
            "service desk, key",
            "actions = \"gitlab-service-desk\"",
            "a-b-my_key",
            "service-desk project_key=my_key project_slug=a-b",
        ),
        ("service desk, anything", "actions = \"gitlab-service-desk\"", "X", "service-desk"),
        ("custom", custom, "t12", "ticket number=12"),
        ("custom, optional part", custom, "t12-x", "ticket number=12 word=x"),
        ("custom, only the whole key", custom, "t12y", "none"),
        ("custom, only the whole key, in front", custom, "at12", "none"),
        ("custom, every alternative", custom, "ab", "other"),
        ("custom, case", custom, "T12", "none"),
    ];
    for (name, actions, key, wanted) in rows {
        assert_eq!(read(actions, key), *wanted, "{name}");
    }
}

#[test]
fn references_ask_for_a_reply_whatever_their_key_says() {
    let custom = "[[mailbox.action]]\nname = \"ticket\"\npattern = '.*'";
    let with_reply = "[[mailbox.action]]\nname = \"reply\"\npattern = 'r(?<number>\\d+)'";
    let rows: &[(&str, &str, &str, &str)] = &[
        ("gitlab, reply key", "actions = \"gitlab\"", LEGACY, "reply"),
        ("gitlab, partitioned", "actions = \"gitlab\"", PARTITIONED, "reply"),
        ("gitlab, issue key (1.9: GitLab takes it)", "actions = \"gitlab\"", "a-b-7-TOKEN-issue", "none"),
        ("any", "actions = \"any\"", "abc", "reply"),
        ("custom without reply", custom, "abc", "reply"),
        ("custom with reply", with_reply, "r12", "reply"),
        ("custom with reply, other key", with_reply, "x12", "none"),
        ("service desk knows no replies by key", "actions = \"gitlab-service-desk\"", LEGACY, "none"),
    ];
    for (name, actions, key, wanted) in rows {
        let routes = routes(&[&format!("name = \"m\"\naddress = \"incoming+%{{key}}@example.com\"\n{actions}")]);
        // An id that gives nothing does not hide the next one.
        let header = format!("References: <reply-{key}@example.com> <x@example.com>");
        let action = find(&routes, &header, &nobody()).map_or("none".to_owned(), |route| route.action);
        assert_eq!(action, *wanted, "{name}");
    }
}
