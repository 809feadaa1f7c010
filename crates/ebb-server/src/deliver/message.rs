//! What does a mail say? The event in plain English and plain Chinese, and the way out.

use super::owing;
use ebb_model::instance::Cause;
use ebb_model::money::Amount;
use ebb_store::rows::delivery::Kind;
use ebb_wire::cloud_event::CloudEvent;
use serde_json::Value;

/// Subject and text.
pub struct Text {
    pub subject: String,
    pub text: String,
}

/// `address` is where the API is, if the operator said so; `way_out` the token that ends the subscription.
pub fn text(kind: Kind, event: &CloudEvent, address: Option<&str>, subscription: &str, way_out: &str) -> Text {
    let (subject, english, chinese) = match kind {
        Kind::Event => happened(event),
        Kind::Confirmation => asked(event),
        Kind::Test => (
            "Test: you will be told".to_owned(),
            "This is a test. What happens to your instances will reach you here.".to_owned(),
            "这是一封测试邮件。您的实例发生变化时，将发送到此邮箱。".to_owned(),
        ),
    };
    let path = format!("/v1/subscriptions/{subscription}/unsubscribe?token={way_out}");
    let (ends, ends_zh) = match address {
        Some(address) => (
            format!("No more of these? curl -X POST '{address}{path}'"),
            format!("如需退订：curl -X POST '{address}{path}'"),
        ),
        None => (
            format!("No more of these? Its owner runs: ebb subscriptions delete {subscription}"),
            format!("如需退订，请账号所有者执行：ebb subscriptions delete {subscription}"),
        ),
    };
    Text { subject: format!("[Ebb] {subject}"), text: format!("{english}\n\n{ends}\n\n--\n\n{chinese}\n\n{ends_zh}\n") }
}

fn asked(event: &CloudEvent) -> (String, String, String) {
    let data = |name: &str| shown(&event.data, name);
    let command = format!("ebb subscriptions confirm {} {}", data("subscription"), data("token"));
    (
        "Confirm this address".to_owned(),
        format!(
            "The account {} wants to send here what happens to its instances. To agree:\n\n    {command}\n\nIf you \
            do not know of this, do nothing: you will hear no more.",
            data("account")
        ),
        format!(
            "账号 {} 申请向此邮箱发送实例通知。如同意，请执行：\n\n    {command}\n\n如非本人操作，请忽略此邮件。",
            data("account")
        ),
    )
}

fn happened(event: &CloudEvent) -> (String, String, String) {
    let data = |name: &str| shown(&event.data, name);
    let name = data("name");
    let called = format!("{name} ({}, {} in {})", data("instance"), data("flavor"), data("zone"));
    let called_zh = format!("实例 {name}（{}，{}，{}）", data("instance"), data("flavor"), data("zone"));
    let (because, because_zh) = serde_json::from_value(event.data["cause"].clone()).map_or(("", ""), cause);
    let topic = event.kind.rsplit('.').next().unwrap_or_default();
    if let Some(owing) = owing::text(topic, &event.data) {
        return owing;
    }
    match topic {
        "interruptServer" => (
            format!("{name} will be released at {}", data("deadline")),
            format!(
                "The instance {called} will be released at {}, because {because}. What is on its system disk is lost then: \
                save it before.",
                data("deadline")
            ),
            format!(
                "{called_zh}将于 {} 释放，原因：{because_zh}。系统盘数据将一并删除，请及时备份。",
                data("deadline")
            ),
        ),
        "host-lost" => (
            format!("The host of {name} is lost"),
            format!(
                "The host of the instance {called} is lost. Nothing is charged since {}, until it runs again.",
                data("since")
            ),
            format!("{called_zh}所在宿主机失联，自 {} 起停止计费，恢复运行后继续。", data("since")),
        ),
        "running" => (
            format!("{name} is running"),
            format!("The instance {called} is running since {}.", data("at")),
            format!("{called_zh}自 {} 起运行中。", data("at")),
        ),
        "stopped" => (
            format!("{name} has stopped by itself"),
            format!(
                "The instance {called} stopped at {} without anybody asking for it. It goes on being charged; \
                `ebb start` starts it.",
                data("at")
            ),
            format!("{called_zh}于 {} 自行停止，仍继续计费。", data("at")),
        ),
        "ended" => (
            format!("{name} has ended"),
            format!("The charge of the instance {called} ended at {}, because {because}.", data("at")),
            format!("{called_zh}于 {} 停止计费，原因：{because_zh}。", data("at")),
        ),
        "coverage-changed" => match event.data["covered"] == true {
            true => (
                format!("Your trial grant pays for {name} again"),
                format!(
                    "The flavor of the instance {called} is on the trial's list since {}: the grant pays for it.",
                    data("since")
                ),
                format!("{called_zh}的规格自 {} 起在试用范围内，由试用额度抵扣。", data("since")),
            ),
            false => (
                format!("Your trial grant does not pay for {name} any more"),
                format!(
                    "The flavor of the instance {called} is not on the trial's list any more since {}: it is charged on demand. \
                    `ebb trial` says what it costs.",
                    data("since")
                ),
                format!("{called_zh}的规格自 {} 起不在试用范围内，按量计费。", data("since")),
            ),
        },
        "subscription-ends-soon" if event.data["renewal"].is_object() => {
            let of = |name: &str| shown(&event.data["renewal"], name);
            let amount = |name: &str| of(name).parse::<Amount>().unwrap_or_default();
            let (then, then_zh) = match amount("needed") <= amount("available") {
                true => ("the money is there now", "余额充足"),
                false => (
                    "which is not enough: top up before, or it is switched off then",
                    "余额不足，请在此前充值，否则到期关机",
                ),
            };
            (
                format!("The subscription of {name} renews itself in {}", days(&event.data)),
                format!(
                    "The subscription of the instance {called} ends in {}, at {}, and renews itself then. By the prices that are entered that takes {}; \
                    {} of unbound money are there for it, {then}. `ebb instances renewal` changes it.",
                    days(&event.data),
                    data("until"),
                    of("needed"),
                    of("available")
                ),
                format!(
                    "{called_zh}的包年包月将于 {} 到期（剩余 {} 天）并自动续费，按已录入的价格需 {}，可用余额 {}，{then_zh}。",
                    data("until"),
                    event.data["days"],
                    of("needed"),
                    of("available")
                ),
            )
        }
        "renewal-failed" => (
            format!("The subscription of {name} could not renew itself"),
            format!(
                "The subscription of the instance {called} was to renew itself at {} and could not ({}): {} were needed, and {} of unbound \
                money were there for it. It is switched off; `ebb instances renew` and `ebb start` bring it back while it is kept.",
                data("at"),
                data("why"),
                event.data["needed"].as_str().unwrap_or("months that are not sold any more"),
                data("available")
            ),
            format!(
                "{called_zh}的包年包月于 {} 自动续费失败（{}）：需 {}，可用余额 {}。实例将关机，保留期内可用 `ebb instances renew` 续费后启动。",
                data("at"),
                data("why"),
                event.data["needed"].as_str().unwrap_or("—"),
                data("available")
            ),
        ),
        "subscription-ends-soon" => (
            format!("The subscription of {name} ends in {}", days(&event.data)),
            format!(
                "The subscription of the instance {called} ends in {}, at {}. It is switched off then, unless you renew it before \
                (`ebb instances renew`).",
                days(&event.data),
                data("until")
            ),
            format!(
                "{called_zh}的包年包月将于 {} 到期（剩余 {} 天），到期后关机，可用 `ebb instances renew` 续费。",
                data("until"),
                event.data["days"]
            ),
        ),
        "subscription-ended" => (
            format!("The subscription of {name} has ended"),
            format!(
                "The subscription of the instance {called} ended at {}, so it is switched off. Its disk is kept until {} at no charge, and \
                released then; `ebb instances renew` and `ebb start` bring it back.",
                data("at"),
                data("kept_until")
            ),
            format!(
                "{called_zh}的包年包月已于 {} 到期并关机，系统盘免费保留至 {}，逾期释放；可用 `ebb instances renew` 续费后启动。",
                data("at"),
                data("kept_until")
            ),
        ),
        "trial-low" => (
            format!("Less than {} % of your trial grant is left", event.data["percent"]),
            format!(
                "Less than {} % of the trial grant of account {} is left since {}. If all goes on as it is, it pays until {}; \
                `ebb trial` says what to release so that it lasts longer.",
                event.data["percent"],
                data("account"),
                data("at"),
                data("lasts_until")
            ),
            format!(
                "账号 {} 的免费试用额度自 {} 起不足 {}%。按当前用量可抵扣至 {}，`ebb trial` 给出延长试用的建议。",
                data("account"),
                data("at"),
                event.data["percent"],
                data("lasts_until")
            ),
        ),
        "trial-ends-soon" => (
            format!("Your trial ends in {}", days(&event.data)),
            format!(
                "The trial of account {} ends in {}, at {}. `ebb trial at-end` says what becomes of its instances then.",
                data("account"),
                days(&event.data),
                data("valid_until")
            ),
            format!(
                "账号 {} 的免费试用将于 {} 到期（剩余 {} 天），`ebb trial at-end` 可设置到期后的处理方式。",
                data("account"),
                data("valid_until"),
                event.data["days"]
            ),
        ),
        "traffic-low" => {
            let (what, what_zh) = match event.data["pool"] == "overseas" {
                true => ("the trial's traffic from overseas", "公网流量-海外"),
                false => ("the trial's traffic from anywhere", "公网流量-中国内地及海外"),
            };
            (
                format!("Less than {} % of {what} is left this month", event.data["percent"]),
                format!(
                    "Of {what}, account {} had {} GB left of this month at {}. What leaves its public addresses beyond that is \
                    charged; `ebb trial` shows what is left.",
                    data("account"),
                    data("left_gb"),
                    data("at")
                ),
                format!(
                    "账号 {} 本月{what_zh}免费额度不足 {}%（截至 {} 剩余 {} GB）。超出部分将计费，`ebb trial` 可查看余量。",
                    data("account"),
                    event.data["percent"],
                    data("at"),
                    data("left_gb")
                ),
            )
        }
        "trial-ended" => {
            let (why, why_zh) = match event.data["by"].as_str() {
                Some("used-up") => ("its grant is used up", "额度已用完"),
                Some("revoked") => ("the operator took what was left of its grant", "运营者已收回剩余额度"),
                _ => ("its validity is over", "有效期已满"),
            };
            let (then, then_zh) = match event.data["choice"].as_str() {
                Some("release") => ("Its instances are released, as you chose.", "已按您的设置释放试用实例。"),
                Some("stop") => (
                    "Its instances are stopped economically, as you chose; their disks go on and are charged on demand.",
                    "已按您的设置将试用实例节省停机，其云盘继续保留并按量计费。",
                ),
                _ => (
                    "Its instances go on and are charged on demand; `ebb delete` releases one.",
                    "试用实例继续运行并按量计费，可用 `ebb delete` 释放。",
                ),
            };
            (
                "Your trial has ended".to_owned(),
                format!("The trial of account {} ended at {}, because {why}. {then}", data("account"), data("at")),
                format!("账号 {} 的免费试用已于 {} 结束，原因：{why_zh}。{then_zh}", data("account"), data("at")),
            )
        }
        "price-changes" => {
            let one =
                |new: &Value| format!("{}: {} → {}", shown(new, "item"), shown(new, "before"), shown(new, "price"));
            let all: Vec<String> = event.data["prices"].as_array().into_iter().flatten().map(one).collect();
            let all = all.join("\n    ");
            (
                format!("Prices change at {}", data("from")),
                format!(
                    "From {} on new prices hold for what account {} uses. What runs then goes on at them; a spot block keeps the price \
                    of its order, and months that are paid are paid.\n\n    {all}\n\n`ebb catalog prices` shows all.",
                    data("from"),
                    data("account")
                ),
                format!(
                    "自 {} 起，账号 {} 所用资源将按新单价计费；已下单的竞享实例及已付费的包年包月不受影响。详见 `ebb catalog prices`。",
                    data("from"),
                    data("account")
                ),
            )
        }
        "cap-soon" => {
            let (then, then_zh) = match event.data["acts_at"].as_str() {
                Some(at) => {
                    (format!("If all goes on as it is, the cap acts at {at}."), format!("按当前用量将于 {at} 触发。"))
                }
                None => (
                    "As it goes on the cap does not act in this month.".to_owned(),
                    "按当前用量本月不会触发。".to_owned(),
                ),
            };
            (
                format!("{} % of this month's spending cap are payable", event.data["percent"]),
                format!(
                    "Since {} {} % of the spending cap of account {} are payable in this month. {then} `ebb cap` shows more.",
                    data("at"),
                    event.data["percent"],
                    data("account")
                ),
                format!(
                    "账号 {} 本月应付金额自 {} 起已达消费上限的 {}%。{then_zh}详见 `ebb cap`。",
                    data("account"),
                    data("at"),
                    event.data["percent"]
                ),
            )
        }
        "budget-reached" => (
            format!("{} % of this month's budget are payable", event.data["percent"]),
            format!(
                "{} are payable in this month by account {} since {}: {} % of its budget of {}. Nothing is stopped for that (`ebb cap` would); \
                `ebb forecast` says what the month will come to.",
                data("payable"),
                data("account"),
                data("at"),
                event.data["percent"],
                data("amount")
            ),
            format!(
                "账号 {} 本月应付金额自 {} 起为 {}，已达预算 {} 的 {}%。预算只作提醒，不会停机；详见 `ebb forecast`。",
                data("account"),
                data("at"),
                data("payable"),
                data("amount"),
                event.data["percent"]
            ),
        ),
        "budget-expected" => (
            "This month is expected to come to more than its budget".to_owned(),
            format!(
                "If all goes on as it was at {}, this month comes to {} for account {}; its budget is {}. Nothing is stopped for that; \
                `ebb forecast` says of what that is made.",
                data("at"),
                data("expected"),
                data("account"),
                data("amount")
            ),
            format!(
                "按 {} 的用量，账号 {} 本月预计应付 {}，超过预算 {}。预算只作提醒，不会停机；明细见 `ebb forecast`。",
                data("at"),
                data("account"),
                data("expected"),
                data("amount")
            ),
        ),
        "cap-reached" => (
            "Your spending cap has been reached".to_owned(),
            format!(
                "The spending cap of account {} allowed nothing more from {} on: its instances on demand are stopped economically, with                 their disks, and its spot blocks released. Nothing starts again by itself; `ebb cap set` raises the cap.",
                data("account"),
                data("at")
            ),
            format!(
                "账号 {} 的消费上限已于 {} 触发：按量实例已节省停机（保留磁盘），竞享实例已释放。实例不会自动恢复，可用 `ebb cap set` 提高上限。",
                data("account"),
                data("at")
            ),
        ),
        "voucher-expires-soon" => {
            let (what, what_zh) = voucher(&event.data);
            (
                format!("Your {what} expires at {}", data("expires_at")),
                format!(
                    "The {what} {} of account {} expires at {}. {} is left of it, which pays nothing from then on; `ebb vouchers` \
                    says what it pays for.",
                    data("voucher"),
                    data("account"),
                    data("expires_at"),
                    data("left")
                ),
                format!(
                    "账号 {} 的{what_zh} {} 将于 {} 过期，剩余 {}，过期后不可使用；`ebb vouchers` 可查看适用范围。",
                    data("account"),
                    data("voucher"),
                    data("expires_at"),
                    data("left")
                ),
            )
        }
        "voucher-used-up" => {
            let (what, what_zh) = voucher(&event.data);
            (
                format!("Your {what} is used up"),
                format!(
                    "Nothing is left of the {what} {} of account {} since {}. What it paid for is paid by the next one that may, or in \
                    cash; `ebb balance` shows what is there.",
                    data("voucher"),
                    data("account"),
                    data("at")
                ),
                format!(
                    "账号 {} 的{what_zh} {} 已于 {} 用完，后续费用由其他可用代金券或余额支付，详见 `ebb balance`。",
                    data("account"),
                    data("voucher"),
                    data("at")
                ),
            )
        }
        _ => (
            format!("{name} is released"),
            format!("The instance {called} and its system disk are gone since {}.", data("gone_at")),
            format!("{called_zh}及其系统盘已于 {} 释放。", data("gone_at")),
        ),
    }
}

fn cause(cause: Cause) -> (&'static str, &'static str) {
    match cause {
        Cause::LeaseEnd => ("the time it was bought for runs out", "购买时长到期"),
        Cause::Capacity | Cause::Reserve | Cause::Shortage => ("its room is needed for others", "库存资源不足"),
        Cause::Operator | Cause::Drain | Cause::HostReturn => ("the operator needs the machine", "运营者收回宿主机"),
        Cause::Drill => ("you asked for a drill", "中断演练"),
        Cause::OwnOrder => ("an order of your own needs its room", "本人订单占用"),
        Cause::Breach => ("of a breach of the terms", "违反服务条款"),
        Cause::Deleted => ("it was deleted", "用户主动释放"),
        Cause::Lost => ("it was lost without a notice", "实例丢失"),
        Cause::TrialEnd => ("the trial is over, and it was to go then", "试用结束，按设置释放"),
        Cause::SubscriptionEnd => ("its subscription ended and was not renewed", "包年包月到期未续费"),
        Cause::SpendingCap => ("the account's spending cap allows no more", "已达账号消费上限"),
        Cause::Arrears => ("the account owed for too long, or too much", "账号欠费"),
        Cause::NeverRan => ("it never ran, and costs nothing", "未成功启动，不计费"),
    }
}

fn voucher(data: &Value) -> (&'static str, &'static str) {
    match data["kind"].as_str() {
        Some("cash-coupon") => ("cash coupon", "现金券"),
        Some("discount-coupon") => ("discount coupon", "折扣券"),
        _ => ("stored-value card", "储值卡"),
    }
}

fn days(data: &Value) -> String {
    match data["days"].as_i64() {
        Some(1) => "1 day".to_owned(),
        days => format!("{} days", days.unwrap_or_default()),
    }
}

fn shown(data: &Value, name: &str) -> String {
    data[name].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ebb_engine::event::{Event, NewPrice, RenewalOutlook};
    use ebb_model::id::{AccountId, EventId, VoucherId};
    use ebb_model::time::{Second, Timestamp};
    use ebb_model::traffic::Pool;
    use ebb_model::trial::{AtEnd, Over};
    use ebb_model::voucher::VoucherKind;

    fn mail(what: &Event) -> (String, String) {
        let body = serde_json::to_value(what).expect("an event is JSON");
        let nobody = AccountId::new(Default::default());
        let id = EventId::new(Default::default());
        let event = CloudEvent::of_account(Default::default(), id, Timestamp::from_micros(0), nobody, body);
        let text = text(Kind::Event, &event, None, "n-1", "token");
        (text.subject, text.text)
    }

    #[test]
    fn a_mail_about_a_subscription_says_up_to_when_and_what_brings_it_back() {
        let (until, kept_until) = (Second::from_unix(1_775_096_430), Second::from_unix(1_776_392_430));
        let (subject, text) = mail(&Event::SubscriptionEndsSoon { days: 7, until, renewal: None });
        assert!(subject.ends_with("ends in 7 days"), "{subject}");
        assert!(text.contains("ends in 7 days, at 2026-04-02T02:20:30Z") && text.contains("剩余 7 天"), "{text}");
        let (needed, poor) = (Amount::from_units(17_640_000_000), Amount::from_units(1));
        let outlook = |available| Some(RenewalOutlook { months: 1, needed, available });
        let soon = |available| mail(&Event::SubscriptionEndsSoon { days: 1, until, renewal: outlook(available) }).1;
        assert!(
            soon(needed)
                .contains("that takes 176.40000000; 176.40000000 of unbound money are there for it, the money is")
        );
        assert!(
            soon(poor).contains("0.00000001 of unbound money are there for it, which is not enough")
                && soon(poor).contains("余额不足")
        );
        let (months, why, needed) = (1, "insufficient-funds".to_owned(), Some(needed));
        let (_, text) = mail(&Event::RenewalFailed { at: until, months, why, needed, available: poor });
        assert!(text.contains("could not (insufficient-funds): 176.40000000 were needed"), "{text}");
        let (_, text) = mail(&Event::SubscriptionEnded { at: until, kept_until });
        assert!(text.contains("ended at 2026-04-02T02:20:30Z, so it is switched off"), "{text}");
        assert!(text.contains("kept until 2026-04-17T02:20:30Z at no charge") && text.contains("renew"), "{text}");
    }

    #[test]
    fn a_mail_about_a_voucher_says_which_and_up_to_when() {
        let at = Second::from_unix(1_775_096_430);
        let id = VoucherId::new(Default::default());
        let left = "12.5".parse().expect("an amount");
        let kind = VoucherKind::CashCoupon;
        let (subject, text) = mail(&Event::VoucherExpiresSoon { voucher: id, kind, left, expires_at: at });
        assert_eq!(subject, "[Ebb] Your cash coupon expires at 2026-04-02T02:20:30Z");
        assert!(text.contains("12.50000000 is left of it") && text.contains("的现金券 c-0000"), "{text}");
        let (subject, text) = mail(&Event::VoucherUsedUp { voucher: id, kind: VoucherKind::Card, at });
        assert_eq!(subject, "[Ebb] Your stored-value card is used up");
        assert!(text.contains("since 2026-04-02T02:20:30Z") && text.contains("的储值卡 c-0000"), "{text}");
    }

    #[test]
    fn a_mail_about_a_trial_says_when_and_what_to_do() {
        let at = Second::from_unix(1_773_709_718);
        let (subject, text) = mail(&Event::TrialLow { at, percent: 20, lasts_until: at.plus(60) });
        assert_eq!(subject, "[Ebb] Less than 20 % of your trial grant is left");
        assert!(text.contains("pays until 2026-03-17T01:09:38Z; `ebb trial` says what to release"), "{text}");
        assert!(text.contains("不足 20%"), "{text}");
        let price = |text: &str| text.parse().expect("a price");
        let new = NewPrice { item: "on-demand c6.large.2".to_owned(), before: price("0.39"), price: price("0.45") };
        let (subject, text) = mail(&Event::PriceChanges { from: at, prices: vec![new] });
        assert_eq!(subject, "[Ebb] Prices change at 2026-03-17T01:08:38Z");
        assert!(text.contains("    on-demand c6.large.2: 0.39 → 0.45\n") && text.contains("新单价"), "{text}");
        let (subject, text) = mail(&Event::CapSoon { at, percent: 80, acts_at: Some(at.plus(60)) });
        assert_eq!(subject, "[Ebb] 80 % of this month's spending cap are payable");
        assert!(text.contains("the cap acts at 2026-03-17T01:09:38Z"), "{text}");
        let text = mail(&Event::CapSoon { at, percent: 80, acts_at: None }).1;
        assert!(text.contains("the cap does not act in this month") && text.contains("本月不会触发"), "{text}");
        let text = mail(&Event::CapReached { at }).1;
        assert!(text.contains("nothing more from 2026-03-17T01:08:38Z on") && text.contains("`ebb cap set`"), "{text}");
        let (amount, payable) = (Amount::from_units(10_000_000_000), Amount::from_units(8_000_000_001));
        let (subject, text) = mail(&Event::BudgetReached { percent: 80, amount, payable, at });
        assert_eq!(subject, "[Ebb] 80 % of this month's budget are payable");
        assert!(
            text.contains("80.00000001 are payable") && text.contains("80 % of its budget of 100.00000000"),
            "{text}"
        );
        let text = mail(&Event::BudgetExpected { amount, expected: payable + amount, at }).1;
        assert!(text.contains("comes to 180.00000001") && text.contains("超过预算 100.00000000"), "{text}");
        let (subject, text) = mail(&Event::TrialEndsSoon { days: 1, valid_until: at });
        assert_eq!(subject, "[Ebb] Your trial ends in 1 day");
        assert!(text.contains("at 2026-03-17T01:08:38Z. `ebb trial at-end`"), "{text}");
        let (pool, left_gb) = (Pool::Overseas, "35.999999".to_owned());
        let (subject, text) = mail(&Event::TrafficLow { pool, month: at, percent: 20, left_gb, at });
        assert_eq!(subject, "[Ebb] Less than 20 % of the trial's traffic from overseas is left this month");
        assert!(text.contains("had 35.999999 GB left of this month at 2026-03-17T01:08:38Z"), "{text}");
        let ended = |by, choice| mail(&Event::TrialEnded { at, by, choice }).1;
        let text = ended(Over::UsedUp, AtEnd::Continue);
        assert!(text.contains("its grant is used up. Its instances go on and are charged on demand"), "{text}");
        let text = ended(Over::Validity, AtEnd::Release);
        assert!(text.contains("its validity is over. Its instances are released, as you chose."), "{text}");
    }
}
