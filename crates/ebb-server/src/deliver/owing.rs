//! What does a mail say to an account that owes? Each in plain English and plain Chinese, with the way out.

use serde_json::Value;

/// Subject, English, Chinese; `None`: the event is about something else.
pub fn text(topic: &str, data: &Value) -> Option<(String, String, String)> {
    let field = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
    let (account, days) = (field("account"), &data["days"]);
    let in_days = || if days == 1 { "1 day".to_owned() } else { format!("{days} days") };
    Some(match topic {
        "debt-limit-soon" => (
            "Your spot blocks will be released: too much is unpaid".to_owned(),
            format!(
                "By {} the spot blocks of account {account} will have cost {} more than there is to pay them with, which is the limit. \
                They are released then; a top-up before it lets them run on. `ebb balance` shows what has accrued.",
                field("at"),
                field("limit")
            ),
            format!(
                "到 {}，账号 {account} 的竞享实例费用将超出可用余额 {} 以上（欠费上限），届时释放；此前充值即可继续运行。详见 `ebb balance`。",
                field("at"),
                field("limit")
            ),
        ),
        "debt-limit-reached" => (
            "Your spot blocks are released: too much is unpaid".to_owned(),
            format!(
                "At {} the spot blocks of account {account} had cost {} more than there was to pay them with, which is the limit. They are \
                released with that second and charged up to it; what is not paid is owed.",
                field("at"),
                field("limit")
            ),
            format!(
                "{} 时账号 {account} 的竞享实例费用已超出可用余额 {} 以上（欠费上限），实例已于该时刻释放并计费至此，未付部分为欠费。",
                field("at"),
                field("limit")
            ),
        ),
        "arrears-began" => (
            format!("Your account owes {}", field("debt")),
            format!(
                "Account {account} owes {} since {}. All goes on and is charged, and nothing that costs more begins. It is frozen at {}, \
                or before that when it owes too much; a top-up of what it owes ends this. `ebb balance` shows how it stands.",
                field("debt"),
                field("since"),
                field("grace_until")
            ),
            format!(
                "账号 {account} 自 {} 起欠费 {}。实例继续运行并计费，但不能新购、启动或转换。最迟于 {} 冻结，欠费超过上限则提前；充值结清即恢复。详见 `ebb balance`。",
                field("since"),
                field("debt"),
                field("grace_until")
            ),
        ),
        "freeze-soon" => (
            format!("Your account is frozen in {}", in_days()),
            format!(
                "Account {account} owes, and is frozen at {} unless it pays before: instances are switched off, spot blocks released. \
                `ebb balance` shows how much it owes.",
                field("freezes_at")
            ),
            format!(
                "账号 {account} 欠费，将于 {} 冻结（剩余 {days} 天）：实例关机，竞享实例释放。请充值结清，金额见 `ebb balance`。",
                field("freezes_at")
            ),
        ),
        "account-frozen" => (
            "Your account is frozen".to_owned(),
            format!(
                "Account {account} is frozen since {}: what it had is off and nothing of that is charged. At {} it is released with its \
                disks, unless the debt is paid before; then it is stopped, and `ebb start` starts it.",
                field("at"),
                field("release_at")
            ),
            format!(
                "账号 {account} 已于 {} 因欠费冻结：实例关机且不再计费。如未结清，将于 {} 连同系统盘一并释放；结清后实例为已停止状态，可用 `ebb start` 启动。",
                field("at"),
                field("release_at")
            ),
        ),
        "release-soon" => (
            format!("What you have is released in {}", in_days()),
            format!(
                "Account {account} is frozen for what it owes. What is frozen is released with its disks and addresses at {}, unless the \
                debt is paid before; nothing brings that back.",
                field("release_at")
            ),
            format!(
                "账号 {account} 因欠费冻结，将于 {} 释放全部冻结的实例、系统盘和公网地址（剩余 {days} 天），不可恢复。请充值结清。",
                field("release_at")
            ),
        ),
        "arrears-released" => (
            "What was frozen is released".to_owned(),
            format!(
                "Nobody paid what account {account} owed, so what was frozen was released at {} with its disks and addresses. The debt \
                is still owed.",
                field("at")
            ),
            format!("账号 {account} 逾期未结清，冻结的实例、系统盘和公网地址已于 {} 释放，欠费仍需支付。", field("at")),
        ),
        "arrears-cleared" => (
            "Your account owes nothing any more".to_owned(),
            format!(
                "Account {account} paid what it owed at {}. What was frozen is stopped, with its disk charged again; `ebb start` starts it.",
                field("at")
            ),
            format!(
                "账号 {account} 已于 {} 结清欠费。被冻结的实例现为已停止，系统盘恢复计费，可用 `ebb start` 启动。",
                field("at")
            ),
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ebb_engine::topic::TOPICS;
    use serde_json::json;

    #[test]
    fn each_step_of_arrears_has_a_mail_with_its_instant() {
        let at = "2026-03-17T03:00:00Z";
        let mine = [
            "debt-limit-soon",
            "debt-limit-reached",
            "arrears-began",
            "freeze-soon",
            "account-frozen",
            "release-soon",
            "arrears-released",
            "arrears-cleared",
        ];
        for topic in mine {
            let key = match topic {
                "arrears-began" => "grace_until",
                "freeze-soon" => "freezes_at",
                "account-frozen" | "release-soon" => "release_at",
                _ => "at",
            };
            let (subject, english, chinese) =
                text(topic, &json!({ "account": "a-1", "days": 1, "debt": "0.05", key: at })).expect("a mail");
            assert!(english.contains(at) && english.contains("a-1") && chinese.contains(at), "{english} {chinese}");
            assert!(!subject.contains("days"), "{subject}");
        }
        assert_eq!(TOPICS.iter().filter(|topic| text(topic, &json!({})).is_some()).count(), mine.len());
    }
}
