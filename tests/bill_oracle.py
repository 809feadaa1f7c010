#!/usr/bin/env python3
"""Does every bill follow from the log? A checker that shares no code with the service.

    ebb demo --lives 200 --seed 7 --dump lives.json
    python3 tests/bill_oracle.py lives.json             recomputes every record and balance
    python3 tests/bill_oracle.py --self-test lives.json tampers with a copy, again and again, and must find each

It reads the log of events and the terms of the purchases, works out who used what and who pays, and then compares:
nothing missing, nothing invented, nothing different. Money is whole numbers of 1/3 600 000 000 of the currency
(seconds times millionths per hour). Written from the rules of the business (the numbers in brackets), not from the Rust.
"""

import argparse
import copy
import json
import multiprocessing
import os
import re
import sys
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from functools import cache
from zoneinfo import ZoneInfo

HOUR = 3600
UNITS = 3_600_000_000  # exact units in one of the currency
SHOWN = UNITS // 100_000_000  # exact units in 10^-8, the last digit that is shown and posted
# The operator broke the guarantee [2.3].
FREE_CAUSES = {"capacity", "reserve", "shortage", "drain", "host-return", "operator", "lost"}
URGENT_CAUSES = {"shortage", "drain", "host-return", "operator"}  # these may come without notice [2.6]
LATE = 10  # so many seconds beyond the notice a drill is free, if the machine is slow [2.10]; a cap sets as many aside [3.8]
METERS = ("compute", "system-disk")  # the order in which a grant pays [3.3]
FLAT = ("data-disk", "snapshot", "bandwidth")  # of what is no instance's [4.4]
ORDER = (*METERS, "subscription", *FLAT)
DAY = 24 * HOUR
GB_PARTS = 1_000_000  # traffic is charged in millionths of a GB, each 1000 bytes [1.2, 3.6]
POOLS = ("anywhere", "overseas")
FINE = 9_000_000_000_000  # exact units of what is left of a voucher in one of the currency: both of the others divide it
FINE_TIME, FINE_TRAFFIC, FINE_SHOWN = FINE // UNITS, FINE // 10**12, FINE // 10**8
KINDS = ("cash-coupon", "discount-coupon", "card")
ITEMS = ("compute", "system-disk", "traffic", "subscription", *FLAT)
OPTIONS = ("on-demand", "trial", "spot-block", "subscription")
LOW = 20  # of the grant, in percent: below it its owner is warned [3.7]
DAYS_BEFORE = (7, 1)  # and so many days before the end of the validity
# What an operator's word can lift [3.2].
DEEDS = ("trial-ran-before", "trial-person-ran", "trial-person-claimed", "trial-other-holder-claimed")


# ---- reading ----------------------------------------------------------------------------------------------------


@cache
def micros(text):
    """An instant as microseconds since the epoch."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z", text)
    if not match:
        raise ValueError(f"{text!r} is not an instant in UTC")
    whole = datetime.strptime(match[1], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    seconds = (whole - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(seconds=1)
    return seconds * 1_000_000 + int((match[2] or "0").ljust(9, "0")[:6])


def second(text):
    """The second that meters an instant: floored [1.6]."""
    return micros(text) // 1_000_000


def decimal(text, digits):
    """A decimal text as a whole number of 10^-digits; no float ever sees it."""
    match = re.fullmatch(r"(-?)(\d+)(?:\.(\d+))?", text)
    if not match or len(match[3] or "") > digits:
        raise ValueError(f"{text!r} is not a decimal with at most {digits} digits")
    value = int(match[2] + (match[3] or "").ljust(digits, "0"))
    return -value if match[1] else value


def price(text):
    return decimal(text, 6)


def amount(text):
    return decimal(text, 8)


def posted(exact):
    """Rounded half up to what is shown and posted: floor(x + 1/2) [1.2]."""
    return (2 * exact + SHOWN) // (2 * SHOWN)


def posted_traffic(exact):
    """The same of traffic, whose exact unit is 10^-12 [1.2]."""
    return (2 * exact + 10_000) // 20_000


def posted_fine(fine):
    """The same of what a voucher pays."""
    return (2 * fine + FINE_SHOWN) // (2 * FINE_SHOWN)


def clock(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


# ---- the price book ---------------------------------------------------------------------------------------------


class Book:
    """What each thing costs, from when on: the price of a second is that of the newest date not after it [5.3]."""

    def __init__(self, catalog):
        self.gib, self.lists = catalog["system_disk_gib"], {}
        for dated in catalog["prices"]:
            self.lists.setdefault(dated["item"], []).append((second(dated["from"]) if dated.get("from") else None, price(dated["price"])))

    def __deepcopy__(self, memo):
        return self  # it never changes

    def at(self, item, when):
        """The price of a second; None for what has none."""
        cost = None
        for since, of in self.lists.get(item, []):
            cost = of if since is None or since <= when else cost
        return cost

    def dates(self, item):
        return [since for since, _ in self.lists.get(item, []) if since is not None]

    def changes(self, item):
        """A date with the price that held before is no change."""
        return [date for date in self.dates(item) if self.at(item, date) != self.at(item, date - 1)]

    def disk(self, when):
        return self.at("system-disk", when) * self.gib

    def month(self, flavor, when):
        disk, cost = self.at("subscription system-disk", when), self.at(f"subscription {flavor}", when)
        return None if disk is None or cost is None else cost + disk * self.gib

    def cut(self, meter, flavor, since, until):
        """Stretches of one price each: since, until, price. The last one is open if `until` is none."""
        item, units = (f"on-demand {flavor}", 1) if meter == "compute" else ("system-disk", self.gib)
        marks = [mark for mark in self.changes(item) if since < mark and (until is None or mark < until)]
        for a, b in zip([since, *marks], [*marks, until]):
            yield a, b, self.at(item, a) * units


# ---- what the log says ------------------------------------------------------------------------------------------


@dataclass
class Life:
    """One instance: the terms of its purchase, and what happened to it."""

    id: str
    account: str
    order: int  # of creation
    zone: str
    flavor: str
    terms: dict
    price: int
    disk_price: int
    waits: bool
    bought_at: int
    took_room: bool = False  # others had to go for it [2.11]
    cut: bool = False  # its end was found to have been earlier
    left_trial: int = None  # it became on-demand [3.8]
    capped_at: int = None  # the second of the spending cap that ended it [3.8]
    limited_at: int = None  # the end of the hour in which blocks had cost too much [5.2]
    lists: list = field(default_factory=list)  # since when the grant's list has its flavor, or has not [3.3]
    uncovered: set = field(default_factory=set)  # when it was of another size, after it was known to be on-demand
    left_at_end: int = None  # it left the trial with its end, not by its owner's word
    ceased_with_trial: int = None  # so long its vCPU and memory were a trial's that stopped [3.8]
    approved: int = None  # the guest itself let go
    start: int = None
    end: int = None
    cause: str = None
    free_from: int = None
    free_until: int = None
    released: int = None
    delete_at: int = None
    notices: list = field(default_factory=list)
    pauses: list = field(default_factory=list)  # [since, until]: its host was lost, until it ran again [1.6]
    used: dict = field(default_factory=lambda: {meter: [] for meter in METERS})  # [since, until, price, flavor]
    stopping: bool = False  # an ordinary stop was asked for, and it is not off yet
    power: str = "new"  # then on, off, away (stopped economically), again (to start after that)
    asked_away: bool = False  # an economical stop was asked for and is not done
    took_since: int = None  # the use of room for which others had to go began then [2.11]
    now_flavor: str = None  # after resizes
    now_price: int = None  # as it was told last, vCPU and memory
    now_disk: int = None  # and its disk
    book: Book = None
    sold: str = None  # how it is paid now: its purchase option, unless it was converted [4.3]
    converted: int = None  # to on-demand, by its owner
    hold_price: int = None  # per hour, of what was held back then
    months: list = field(default_factory=list)  # what was paid in advance: since, until, months, price, when
    anchor: int = None  # its months are counted from here
    keep_days: int = None
    over: bool = False  # its paid time has ended, and that was carried out
    told: list = field(default_factory=list)  # warnings: days before which end, and when
    newest: str = None  # the place in the log of its last event
    sales: list = field(default_factory=list)  # how it is sold, and of which flavor it is, from a place in the log on
    paid_at: list = field(default_factory=list)  # and of each payment
    gone_at: str = None  # and of its release
    frozen: int = None  # with its account, since then [5.2]
    ended_in: dict = None  # the arrears in which it ended, as they were then
    bought_place: str = None  # and of its purchase
    converted_place: str = None  # and of its conversion to on-demand
    renews: int = None  # so many months are paid at its end without anybody asking [4.3]
    failed_at: int = None  # the end at which they could not be
    money_told: list = field(default_factory=list)  # what was said to be available: where in the log, how much, for which sum, when

    def as_of(self, place):
        """How it was sold, and its flavor, at a place in the log; now if there is none."""
        known = [sale for sale in self.sales if place is None or sale[0] <= place]
        return known[-1][1:] if known else (self.option, self.flavor)

    @property
    def option(self):
        return self.terms["option"]

    @property
    def period(self):
        return self.terms["hours"] * HOUR

    @property
    def lease_end(self):
        block = self.option == "spot-block" and self.start is not None
        return self.start + self.period * self.terms["periods"] if block else None

    @property
    def free_since(self):
        """From here on it is free: as it ended, or as it would if it ended now."""
        if self.end is not None or self.start is None:
            return self.free_from
        notices = [notice for cause, notice, _, _ in self.notices if cause in FREE_CAUSES]
        if notices:
            return self.period_start(notices[0] // 1_000_000)
        drill = self.drill
        return drill[1] // 1_000_000 if drill else None

    @property
    def free_to(self):
        """And up to here, where that is not its end: a drill, in a month that has no more free seconds [2.10]."""
        if self.end is not None:
            return self.free_until
        taken_over = any(notice[0] in FREE_CAUSES for notice in self.notices)
        return self.drill[3] if self.drill and not taken_over else None

    @property
    def free_for(self):
        if self.cause:
            return self.cause
        return next((notice[0] for notice in self.notices if notice[0] in FREE_CAUSES), "drill")

    @property
    def drill(self):
        """The notice of its drill, if it had one: cause, instant, deadline, free until."""
        return next((notice for notice in self.notices if notice[0] == "drill"), None)

    @property
    def paid_until(self):
        return self.months[-1][1] if self.months else None

    @property
    def kept_until(self):
        return self.paid_until + self.keep_days * DAY if self.months else None

    def begin(self, meter, at):
        if self.sold == "subscription":
            return  # paid before
        cost = self.now_price if meter == "compute" else self.now_disk
        self.used[meter].append([at, None, cost, self.now_flavor])

    def cease(self, meter, at):
        """Its use of this ends, if it goes on."""
        if self.used[meter] and self.used[meter][-1][1] is None:
            self.used[meter][-1][1] = max(at, self.used[meter][-1][0])

    def cut_use(self, meter, at):
        """So long it was used, and no longer; whether that changes anything."""
        late = [use for use in self.used[meter] if use[1] is None or use[1] > at]
        for use in late:
            use[1] = max(at, use[0])
        return bool(late)

    def uses(self, meter, now):
        """When it was charged: from its start to its end, but not while its host was lost, nor its vCPU and memory while it was
        stopped economically [1.6, 4.2]."""
        # Who made others go may be charged beyond his delete: what is still to come is not there yet.
        last = now if self.end is None else min(self.end, max(now, self.start))
        for since, until, cost, flavor in self.used[meter]:
            until = last if until is None else min(until, last)
            if since < until:
                yield from ((a, b, of, flavor) for a, b, of in self.priced(meter, since, until, cost, flavor))

    def priced(self, meter, since, until, cost, flavor):
        """A use in stretches of one price. A block keeps the prices of its order [5.3]."""
        return [(since, until, cost)] if self.option == "spot-block" else self.book.cut(meter, flavor, since, until)

    def period_start(self, at):
        """The start of the guarantee period that holds a second [2.2]."""
        return self.start + max(at - self.start, 0) // self.period * self.period


REST = 600  # an address goes to nobody for so long after somebody had it


@dataclass
class Address:
    """One public address: what was read off its counter, and when its bandwidth was charged [3.6, 4.4].

    As the life of what its bandwidth costs it comes after all instances, and has neither purchase option nor flavor."""

    id: str
    account: str
    item: str  # whose price it is
    overseas: bool
    since: int
    instance: str
    region: str
    ip: str = None
    mbit: int = None  # it is paid by so many, or to be
    bought_with: str = None  # it was allocated with this instance, and never left it
    charged_until: int = None  # of one that is released: its bandwidth was
    bands: list = field(default_factory=list)  # its bandwidth was charged: [since, until, Mbit/s]
    released: bool = False
    gone_at: int = None
    read: int = 0  # the second of the newest reading
    readings: list = field(default_factory=list)  # [second, bytes, covered or not]
    option = "bandwidth"
    cut = False

    @property
    def order(self):
        return 10**9 + int(self.id.split("-")[1], 16)

    def cease(self, at):
        for band in self.bands:
            if band[1] is None or band[1] > at:
                band[1] = max(at, band[0])

    @property
    def is_charged(self):
        return bool(self.bands) and self.bands[-1][1] is None

    def by_bandwidth(self, read):
        """Whether its bandwidth was charged in the second before a reading; what is read after its release left it before [4.4]."""
        read = read if self.charged_until is None else min(read, self.charged_until)
        return any(since < read and (until is None or read <= until) for since, until, _ in self.bands)

    def costs(self, book):
        """Its bandwidth in stretches of one price, the last one open: since, until, price for all of it."""
        for since, until, mbit in self.bands:
            marks = [mark for mark in book.changes(f"bandwidth {self.region}") if since < mark and (until is None or mark < until)]
            for a, b in zip([since, *marks], [*marks, until]):
                yield a, b, book.at(f"bandwidth {self.region}", a) * mbit


@dataclass
class Volume:
    """One data disk or snapshot: from when to when, how large, and where charge stopped in between [1.6, 2.8, 2.13]."""

    id: str
    account: str
    order: int  # disks come before snapshots, and both after instances
    zone: str
    made_at: int
    made_of: dict
    bought_with: str  # it was bought with this instance
    sizes: list = field(default_factory=list)  # GiB from a second on
    since: int = None
    end: int = None
    away: list = field(default_factory=list)  # [since, until]: its host was
    attached: str = None  # to this instance
    detaching: bool = False
    there: bool = False  # also if nothing is charged yet
    failed: bool = False
    gone: bool = False
    stopped: list = field(default_factory=list)  # [since, until]: its account was frozen, and nothing of it charged
    option: str = None  # it is sold in no other way

    @property
    def item(self):
        return "data-disk" if self.id.startswith("disk-") else "snapshot"

    @property
    def gib(self):
        return self.sizes[-1][1]

    def size(self, at):
        return [gib for when, gib in self.sizes if when <= at or when == self.sizes[0][0]][-1]

    def uses(self, book):
        """When it was charged: since, until or none, price; neither while its host was away nor while it was frozen [2.13, 5.2]."""
        if self.since is None:
            return []
        times, open_ = [(self.since, self.end)], 1 << 60
        for since, until in [*self.away, *self.stopped]:
            until = open_ if until is None else until
            cut = [(a, b) for x, y in times for a, b in ((x, min(open_ if y is None else y, since)), (max(x, until), y))]
            times = [(a, None if b == open_ else b) for a, b in cut if a < (open_ if b is None else b)]
        marks = sorted({when for when, _ in self.sizes} | set(book.changes(self.item)))
        uses = []
        for a, b in times:
            cuts = [a, *(m for m in marks if a < m and (b is None or m < b)), b]
            uses += [(x, y, book.at(self.item, x) * self.size(x)) for x, y in zip(cuts, cuts[1:]) if x != y]
        return uses


@dataclass
class Voucher:
    """One coupon or card, and what became of it [2.9, 5.1]."""

    id: str
    account: str
    kind: str
    face: int
    pays: dict
    issued: str  # its place in the log
    since: int
    until: int = None
    left: int = 0
    used: int = 0
    over: str = None  # what was left is gone: `expired` or `revoked`
    over_at: int = None  # from this second on nothing is left of it
    gone: int = 0  # so much, in 10^-8
    ends: list = field(default_factory=list)  # place, what, second, amount: as the log says it
    told: list = field(default_factory=list)  # warnings: place, second of the event, what was left, its expiry
    used_up: list = field(default_factory=list)  # seconds, as the log says it
    ran_out: list = field(default_factory=list)  # the same by the rules
    filled: int = None  # something came back to it, at this second, when nothing had been left

    @property
    def rank(self):
        return (self.until is None, self.until or 0, self.kind == "card", self.id)

    def valid(self, at):
        return self.since <= at and (self.until is None or at < self.until)

    @property
    def rest(self):
        """What is left of it as it is shown."""
        return 0 if self.over else self.face - posted_fine(self.used) - self.gone

    def take_back(self, units, now):
        """So much comes back to it; gives how it is gone, if it is over [5.3]."""
        gone = "revoked" if self.over == "revoked" else "expired" if self.until is not None and self.until <= now else None
        self.used -= units * FINE_SHOWN
        if gone:
            self.gone += units
        else:
            self.filled = now if self.left < FINE_TIME else self.filled
            self.left += units * FINE_SHOWN
        return gone

    def may_pay(self, item, option, flavor, region):
        """Traffic has neither purchase option nor flavor; months have to be named."""
        meters, options = self.pays.get("meters", []), self.pays.get("options", [])
        named = item in meters or not meters and (item != "subscription" or "subscription" in options)
        within = all(not names or what in names for names, what in (
            (options, option), (self.pays.get("flavors", []), flavor), (self.pays.get("regions", []), region)))
        return named and within and not (self.kind == "discount-coupon" and (item, option) == ("compute", "spot-block"))


@dataclass
class Person:
    """One account: its money and its grant."""

    id: str
    paid_in: int = 0
    top_ups: list = field(default_factory=list)  # place in the log, amount
    closes: dict = field(default_factory=dict)  # end of an hour: place in the log of its close
    grant: dict = None
    overruled: tuple = None  # what of its person's deeds lets it claim once: up to which second, and by which codes [3.2]
    gone: bool = False  # closed
    closed: list = field(default_factory=list)
    at_end: str = "continue"  # what becomes of trial instances at the end of the grant [3.8]
    ended: dict = None  # the grant's end, and which trial instances there were
    expired: int = None
    warned: list = field(default_factory=list)  # of what, and the second [3.7]
    taking_minimum: int = 0
    low_due: list = field(default_factory=list)  # warnings of traffic that must come next [3.7]
    low_told: set = field(default_factory=set)
    drills: dict = field(default_factory=dict)  # instance: its day, and the free seconds it has, or has had
    caps: list = field(default_factory=list)  # the spending cap since when, or None for none [3.8]
    acts: list = field(default_factory=list)  # when it acted, and all as it was known then
    told_of_cap: set = field(default_factory=set)  # the months of a cap in which its owner was warned
    revoked_at: list = field(default_factory=list)
    revoked_place: str = ""  # and where that is in the log
    ended_place: str = None
    low_place: str = None  # of the warning that little is left
    given_back: list = field(default_factory=list)  # place in the log, the second, and what the log says [5.3]
    parted: dict = field(default_factory=dict)  # by that place, to which sources it goes by the rules
    budget: dict = None  # amount, shares, whether more that is expected is told, and since when
    shares: list = field(default_factory=list)  # what was told of budgets, and all as it was known then
    told_of_budget: set = field(default_factory=set)  # of this budget: months and shares

    def back(self, before=None):
        """What came back to its grant, in exact units; before a place in the log."""
        mine = (body for place, _, body in self.given_back if before is None or place < before)
        return sum(amount(body["back"]["grant"]) * SHOWN for body in mine)
    brought_back: bool = False  # a freeze before a revoke was carried out after it
    arrears: list = field(default_factory=list)  # each time in which it owed, and what came of it [5.2]
    limits: list = field(default_factory=list)  # each hour at whose end its blocks had cost too much [5.2]

    @property
    def owing(self):
        """The arrears in which it is."""
        return self.arrears[-1] if self.arrears and self.arrears[-1]["cleared"] is None else None

    @property
    def cap(self):
        return self.caps[-1][1] if self.caps else None


class Log:
    """The events of all accounts, read in order."""

    def __init__(self, dump, zone, complain):
        self.lives, self.people, self.persons, self.complain, self.zone = {}, {}, {}, complain, zone
        self.notice_seconds = dump["catalog"]["notice_seconds"]
        self.drill_free_seconds = dump["catalog"]["drill_free_seconds"]
        self.drills_per_day = dump["catalog"]["drills_per_day"]
        self.taking_minimum = dump["catalog"].get("taking_minimum_seconds", 0)
        self.catalog = dump["catalog"]
        self.book, self.told, self.due_prices = Book(dump["catalog"]), set(), []
        # It is looked at each date, and so many days before it.
        self.dates = sorted({date for item in self.book.lists for date in self.book.changes(item)})
        self.ahead = self.catalog["price_announce_days"] * DAY
        self.sweeps = sorted({when for date in self.dates for when in (date, date - self.ahead)})
        self.catalog, self.addresses, self.vouchers, self.volumes = dump["catalog"], {}, {}, {}
        takings = []  # notices for a firm order that is still to come in the log
        before = ("", 0)
        for event in dump["events"]:
            now = (event["id"], micros(event["at"]))
            if now[0] <= before[0] or now[1] < before[1]:
                complain(event["id"], "the log goes back in time or repeats itself")
            before = now
            self.announced(now[1] // 1_000_000)
            self.read(event, event["body"], takings)
        for person in self.people.values():
            if person.low_due:
                complain(person.id, "it was not told that little of its traffic is left")
        if takings:
            complain(takings[0][1].id, "a notice was given for an order that is not in the log")

    def users(self, item):
        """Who uses a thing now by the hour, sends from there, or has a subscription to it."""
        if item.startswith("traffic "):
            yield from (address.account for address in self.addresses.values() if address.item == item and not address.released)
        if item.startswith("bandwidth "):
            yield from (address.account for address in self.addresses.values()
                        if item == f"bandwidth {address.region}" and address.bands and address.bands[-1][1] is None)
        monthly = item.startswith("subscription ")
        for volume in self.volumes.values():
            uses = volume.uses(self.book) if item == volume.item else []
            if uses and uses[-1][1] is None:
                yield volume.account
        for life in self.lives.values():
            meter = "system-disk" if item == "system-disk" else "compute"
            open_ = life.used[meter] and life.used[meter][-1][1] is None and life.end is None and life.option != "spot-block"
            if monthly and life.sold == "subscription" and life.released is None and item in ("subscription system-disk", f"subscription {life.now_flavor}"):
                yield life.account
            elif open_ and item in ("system-disk", f"on-demand {life.now_flavor}"):
                yield life.account

    def announced(self, now):
        """Is everybody told some days before of a new price of what he uses? [5.3]"""
        for when, account, item, date in [due for due in self.due_prices if now > due[0]]:
            if account in self.users(item) and (account, item, date) not in self.told:
                self.complain(account, f"it was not told that {item} costs something else from {clock(date)} on")
        self.due_prices = [due for due in self.due_prices if now <= due[0]]
        while self.sweeps and now >= self.sweeps[0]:
            when = self.sweeps.pop(0)
            for date in (date for date in self.dates if date - self.ahead <= when < date):
                changes = [item for item in self.book.lists if date in self.book.changes(item)]
                self.due_prices += [(when, account, item, date) for item in changes for account in sorted(set(self.users(item)))]

    def tell_prices(self, person, body, now):
        """New prices are told before their date, rightly, and once."""
        date = second(body["from"])

        def must(right, what):
            if not right:
                self.complain(person.id, what)

        must(date - self.ahead <= now < date, "it is told of a price too early or too late")
        must(body["prices"], "it is told of no price")
        for new in body["prices"]:
            key = (person.id, new["item"], date)
            must(key not in self.told, f"it is told twice of the price of {new['item']}")
            self.told.add(key)
            right = (price(new["before"]), price(new["price"])) == (self.book.at(new["item"], date - 1), self.book.at(new["item"], date))
            must(date in self.book.dates(new["item"]) and right, f"it is told of another price of {new['item']} than is in the book")

    def is_priced(self, life, when):
        """Whether it was told the prices of a second."""
        if life.option == "spot-block" or life.end is not None or life.sold == "subscription":
            return True
        return (life.now_price, life.now_disk) == (self.book.at(f"on-demand {life.now_flavor}", when), self.book.disk(when))

    def whose(self, account):
        """The account that stands for its person [2.11, 3.2]."""
        while self.persons.get(account, account) != account:
            account = self.persons[account]
        return account

    def read(self, event, body, takings):
        kind, at, account = body["event"], micros(event["at"]), event["account"]
        person = self.people.get(account)
        if kind == "account-opened":
            self.people[account] = Person(account)
            return
        if person is None:
            return self.complain(event["id"], f"{kind} of an account that was never opened")
        if person.gone and kind not in ("account-linked", "released", "trial-expired", "voucher-expired"):
            self.complain(event["id"], f"{kind} of an account that is closed")
        if person.owing:
            self.in_arrears(event, person.owing, kind, body)
        if kind == "account-closed":
            person.gone = True
        elif kind in ("debt-limit-soon", "debt-limit-reached"):
            self.debt_limit(event, person, kind, body, at // 1_000_000)
        elif kind in ("arrears-began", "freeze-soon", "account-frozen", "release-soon", "arrears-released", "arrears-cleared"):
            self.arrears(event, person, kind, body, at // 1_000_000)
        elif kind == "account-linked":
            self.persons[self.whose(account)] = self.whose(body["person"])
        elif kind == "topped-up":
            person.paid_in += amount(body["amount"])
            person.top_ups.append((event["id"], amount(body["amount"])))
        elif kind == "trial-claimed":
            if person.grant:
                self.complain(account, "a second trial was claimed")
            self.may_claim(account, person, body["holder"])
            person.overruled = None
            person.grant = {
                "holder": body["holder"],
                "issued": amount(body["amount"]) * SHOWN,
                "cap": price(body["hourly_cap"]) * HOUR,
                "since": at // 1_000_000,
                "until": second(body["valid_until"]),
                "revoked": 0,
                "valid_until": second(body["valid_until"]),
                "back": (),  # what came back to it [5.3], or was taken, and from which second on
            }
        elif kind == "trial-overruled":
            person.overruled = at // 1_000_000, set(body.get("lifts", DEEDS))
        elif kind == "trial-revoked":
            if not person.grant or not person.grant["since"] <= second(body["at"]) < person.grant["until"]:
                return self.complain(account, "a grant was taken that there is not")
            person.revoked_at.append(at // 1_000_000)
            person.revoked_place = event["id"]
            person.grant["until"] = second(body["at"])
            person.grant["revoked"] += amount(body["amount"]) * SHOWN
            # From its hour on; what was paid before, and came back then, was left to be taken.
            person.grant["back"] += ((second(body["at"]) // HOUR * HOUR, -amount(body["amount"]) * SHOWN),)
        elif kind == "trial-end-chosen":
            person.at_end = body["choice"]
        elif kind == "adjusted":
            self.adjust(event, body, at // 1_000_000, person)
        elif kind == "trial-low":
            person.low_place = person.low_place or event["id"]
            person.warned.append((f"{body['percent']} %", second(body["at"])))
        elif kind == "trial-ends-soon":
            person.warned.append((f"{body['days']} days", second(body["valid_until"]) - body["days"] * DAY))
        elif kind == "trial-ended":
            if person.ended:
                self.complain(account, "its trial ended twice")
            person.ended_place = event["id"]
            there = [life for life in self.lives.values()
                     if life.account == account and life.sold == "trial" and (life.end is None or life.end > second(body["at"]))]
            owes = {life.id: (life.took_room and life.took_since is None, life.took_since) for life in there}
            person.ended = {"at": second(body["at"]), "by": body["by"], "choice": body["choice"], "there": there, "owes": owes,
                            "leaving": [life for life in there if life.end is not None]}
            if body["choice"] != person.at_end:
                self.complain(account, f"the trial ended as {body['choice']}, but {person.at_end} was chosen")
        elif kind == "trial-expired":
            if person.expired is not None:
                self.complain(account, "its grant expired twice")
            person.expired = amount(body["amount"])
        elif kind.startswith("address-") or kind in ("traffic-counted", "traffic-low"):
            self.traffic(event, kind, body, at // 1_000_000, person)
        elif kind.startswith(("volume-", "disk-")):
            self.volume(event, kind, body, at // 1_000_000, person)
        elif kind in ("cap-set", "cap-removed"):
            if kind == "cap-removed" and person.cap is None:
                self.complain(account, "a spending cap was removed that there is not")
            person.caps.append((at // 1_000_000, amount(body["amount"]) * SHOWN if kind == "cap-set" else None))
            person.told_of_cap = set()
        elif kind == "cap-soon":
            month = self.zone.month(second(body["at"]))
            if person.cap is None or month in person.told_of_cap or second(body["at"]) > at // 1_000_000:
                self.complain(account, "it was warned of a spending cap twice in a month, too early, or of none")
            person.told_of_cap.add(month)
        elif kind == "cap-reached":
            if person.cap is None or not person.caps[-1][0] <= second(body["at"]) <= at // 1_000_000:
                self.complain(account, "a spending cap acted that there was not, or before its time")
            there = [copy.deepcopy(life) for life in self.lives.values() if life.account == account]
            person.acts.append({"at": second(body["at"]), "now": at // 1_000_000, "cap": person.cap, "lives": there,
                                "grant": copy.copy(person.grant), "at_end": person.at_end, "over": person.ended is not None,
                                "open": person.closed[-1][1] if person.closed else 0, "flat": self.flat(person)})
        elif kind.startswith("voucher-"):
            self.voucher(event, kind, body, at // 1_000_000, account)
        elif kind == "budget-set":
            wrong = not all(1 <= percent <= 1000 for percent in body["alerts"]) or amount(body["amount"]) <= 0
            if wrong or not body["alerts"] and not body["expected"]:
                self.complain(account, "a budget was set of which nobody could be told")
            person.told_of_budget = set()
            person.budget = {"amount": amount(body["amount"]) * SHOWN, "alerts": body["alerts"], "expected": body["expected"],
                             "since": at // 1_000_000}
        elif kind == "budget-removed":
            if person.budget is None:
                self.complain(account, "a budget was removed that there is not")
            person.budget = None
        elif kind in ("budget-reached", "budget-expected"):
            self.budget(event["id"], account, person, kind, body, at // 1_000_000)
        elif kind == "hour-closed":
            person.closed.append((second(body["hour"]["since"]), second(body["hour"]["until"])))
            person.closes[second(body["hour"]["until"])] = event["id"]
        elif kind == "price-changes":
            self.tell_prices(person, body, at // 1_000_000)
        elif kind == "bought":
            self.buy(event, body, at, takings)
        elif event.get("instance") is not None:
            life = self.lives.get(event["instance"])
            if life is None or life.account != account:
                return self.complain(event["instance"], f"{kind}, but this account never bought it")
            life.newest = event["id"]
            if kind != "price-changed" and not self.is_priced(life, at // 1_000_000 - 1) and not self.is_priced(life, at // 1_000_000):
                self.complain(life.id, "before this it had to be told what it costs since its price changed")
            self.live(life, kind, body, at, takings)
            if (life.sold, life.now_flavor) != life.sales[-1][1:]:
                life.sales.append((event["id"], life.sold, life.now_flavor))

    def voucher(self, event, kind, body, now, account):
        """Coupons and cards: whether what is said of them can be; whether it follows is seen with what they paid [5.1]."""
        known = self.vouchers.get(body["voucher"])

        def must(right, what):
            if not right:
                self.complain(body["voucher"], what)

        if kind == "voucher-issued":
            until = second(body["expires_at"]) if "expires_at" in body else None
            face, since, pays = amount(body["face"]), second(body["valid_from"]), body["pays"]
            must(known is None, "it was issued twice")
            must(body["kind"] in KINDS and 0 < face <= 10**14, "it is of no kind, or worth nothing or too much")
            must(since >= now and (until is None or until > since), "it is valid before it was issued, or never")
            regions, flavors = {z["region"] for z in self.catalog["zones"]}, {f["id"] for f in self.catalog["flavors"]}
            for names, there in (("options", OPTIONS), ("meters", ITEMS), ("flavors", flavors), ("regions", regions)):
                must(set(pays.get(names, [])) <= set(there), f"it pays for {names} that there are not")
            self.vouchers[body["voucher"]] = Voucher(
                body["voucher"], account, body["kind"], face, pays, event["id"], since, until, left=face * FINE_SHOWN)
            return
        if known is None or known.account != account:
            return must(False, f"{kind}, and this account never had it")
        if kind in ("voucher-revoked", "voucher-expired"):
            at, what = second(body["at"]), kind.removeprefix("voucher-")
            must(not known.ends, "what was left of it was taken twice")
            must(at == known.until <= now if what == "expired" else at == now and known.until != at, f"it is {what} at another second")
            known.ends.append((event["id"], what, at, amount(body["amount"])))
        elif kind == "voucher-expires-soon":
            known.told.append((event["id"], now, amount(body["left"]), second(body["expires_at"])))
        elif kind == "voucher-used-up":
            known.used_up.append(second(body["at"]))

    def adjust(self, event, body, now, person):
        """Something is given back of a record [5.3]."""
        back, whole = {name: amount(body["back"][name]) for name in BACK}, amount(body["amount"])
        parts = [*back.values(), *(amount(one["amount"]) for one in body["back"].get("vouchers", []))]
        if whole <= 0 or sum(parts) != whole or any(units < 0 for units in parts):
            self.complain(body["record"], "what was given back is not what its sources took")
        if not body["reason"] or not body["by"]:
            self.complain(body["record"], "something was given back by nobody, or for no reason")
        if back["expired"] and not (person.grant and person.grant["until"] <= now):
            self.complain(body["record"], "something came back to a grant as if it were over")
        if back["grant"] and (person.grant is None or person.expired is not None):
            self.complain(body["record"], "something came back to a grant that is over")
        if back["grant"] and person.grant:
            # No closed hour is paid anew.
            since = max(person.closes, default=0)
            person.grant["back"] += ((since, back["grant"] * SHOWN),)
        person.given_back.append((event["id"], now, body))

    def in_arrears(self, event, owing, kind, body):
        """Nothing that costs more begins while an account owes, and one that is frozen releases and nothing else [5.2]."""
        more = ("volume-created", "volume-resized", "bought", "start-asked", "firm-start-asked", "resized", "converted", "renewed", "trial-claimed",
                "address-allocated", "address-bound")
        any_verb = ("disk-detach-asked", "stop-asked", "keep-changed", "trial-end-chosen", "renewal-chosen", "address-unbound", "address-charged")
        drill = kind == "interruptServer" and body["cause"] == "drill" and second(body["notice_at"]) * 1_000_000 == micros(event["at"])
        by_owner = kind == "economical-stop-asked" and "charged_until" not in body
        if kind in more or drill:
            self.complain(event.get("instance") or event["account"], f"{kind}, and its account owes")
        if owing["frozen"] is not None and (kind in any_verb or by_owner):
            self.complain(event.get("instance") or event["account"], f"{kind}, and its account is frozen")

    def arrears(self, event, person, kind, body, now):
        """What follows when an account owes, and at which second [5.2]."""
        terms, owing = self.catalog, person.owing

        def must(right, what):
            if not right:
                self.complain(person.id, what)

        if kind == "arrears-began":
            must(owing is None, "arrears began twice")
            since, window = second(body["since"]), terms["arrears_window_days"] * DAY
            used = sum(max(min(old["frozen"] or old["cleared"], old["cleared"], since) - max(old["since"], since - window), 0)
                       for old in person.arrears if old["cleared"] is not None)
            until = since + max(terms["arrears_grace_days"] * DAY - used, 0)
            must(second(body["grace_until"]) == until, f"its grace ends at {body['grace_until']}, by the rules at {clock(until)}")
            person.arrears.append({"since": since, "until": until, "debt": amount(body["debt"]), "place": event["id"], "now": now,
                                   "told": [], "told_of_end": [], "frozen": None, "release": None, "released": None, "cleared": None})
            return
        if owing is None:
            return must(False, f"{kind}, and it owes nothing")
        if kind in ("freeze-soon", "release-soon"):
            soon = kind == "freeze-soon"
            told = owing["told" if soon else "told_of_end"]
            at = second(body["freezes_at" if soon else "release_at"])
            must(body["days"] in terms["arrears_warn_days_before"] and body["days"] < min(told, default=1000), "it was told so twice, or of nothing")
            must(soon == (owing["frozen"] is None) and owing["released"] is None, "it was told of what is over")
            must(at == owing["release"] or soon and owing["since"] < at - body["days"] * DAY and at <= owing["until"], "it was told of another second")
            must(at - body["days"] * DAY <= now, "it was told before its time")
            told.append(body["days"])
        elif kind == "account-frozen":
            at, mine = second(body["at"]), [a for a in self.addresses.values() if a.account == person.id]
            must(owing["frozen"] is None, "it was frozen twice")
            must(owing["since"] <= at <= owing["until"] and at < now, "it was frozen before its time, or after its grace")
            begins = now if now > at + HOUR else at  # one that is carried out late leaves all of its days
            must(second(body["release_at"]) == begins + terms["arrears_frozen_days"] * DAY, "it is frozen for another time than the terms say")
            due = [days for days in terms["arrears_warn_days_before"] if at - days * DAY > owing["since"]]
            must(body["by"] != "grace" or not due or min(owing["told"], default=1000) <= min(due), "it was not told before it was frozen")
            owing.update(frozen=at, by=body["by"], release=second(body["release_at"]), frozen_place=event["id"], **self.as_it_stands(person))
            # What belongs to subscriptions runs on with them, and is charged on.
            runs_on = {life.id for life in self.lives.values() if life.account == person.id and life.sold == "subscription"
                       and life.start is not None and life.end is None}
            leads = {a.id for a in mine if a.instance in runs_on and a.mbit is not None and not a.released}
            volumes = [v for v in self.volumes.values() if v.account == person.id]
            disks = {v.id for v in volumes if v.attached in runs_on and v.id.startswith("disk-") and not v.detaching
                     and v.end is None and not v.failed}
            must(leads == set(body.get("addresses", [])), "bandwidth of other addresses is charged on than of those of subscriptions")
            must(disks == set(body.get("disks", [])), "other disks are charged on than those of subscriptions")
            owing["runs_on"] = leads | disks
            for address in (a for a in mine if a.id not in leads):
                address.cease(at)
            for volume in (v for v in volumes if v.id not in disks):
                volume.stopped.append([at, None])
        elif kind == "arrears-released":
            at = second(body["at"])
            must(owing["frozen"] is not None and owing["released"] is None and at == owing["release"] and at < now, "it is released at another second")
            due = [days for days in terms["arrears_warn_days_before"] if days < terms["arrears_frozen_days"]]
            must(not due or min(owing["told_of_end"], default=1000) <= min(due), "it was not told before all was released")
            owing.update(released=at, held=[life for life in self.lives.values()
                                            if life.account == person.id and life.frozen is not None and life.end is None])
        else:
            step = owing["until"] if owing["frozen"] is None else owing["release"]
            must(second(body["at"]) == now and (now <= step or owing["released"] is not None), "it paid after a step that did not come")
            owing["cleared"] = now
            for volume in (v for v in self.volumes.values() if v.account == person.id and v.stopped and v.stopped[-1][1] is None):
                volume.stopped[-1][1] = now

    def debt_limit(self, event, person, kind, body, now):
        """The blocks of an account that owes nothing have cost more, at the end of an hour, than there is to pay them with [5.2]."""
        at, soon = second(body["at"]), kind == "debt-limit-soon"
        right = person.owing is None and at % HOUR == 0 and at <= now + (HOUR if soon else 0)
        if not right or amount(body["limit"]) != amount(self.catalog["arrears_debt_limit"]):
            self.complain(person.id, f"{kind} at {clock(at)}, or of another limit")
        if not soon:
            person.limits.append({"at": at, **self.as_it_stands(person)})
            running = (life for life in self.lives.values() if life.account == person.id and life.option == "spot-block" and life.end is None)
            for life in running:
                if life.start is not None and life.start < at and all(n[0] == "lease-end" for n in life.notices):
                    life.limited_at = at

    def bands(self, account):
        """What the bandwidth of its addresses costs, as it is known now: since, until, price."""
        return [band for address in self.addresses.values() if address.account == account for band in address.costs(self.book)]

    def as_it_stands(self, person):
        """What an account's use is worked out from, as it is known now."""
        lives = [copy.deepcopy(life) for life in self.lives.values() if life.account == person.id]
        return {"lives": lives, "grant": copy.copy(person.grant), "at_end": person.at_end, "over": person.ended is not None,
                "paid_in": person.paid_in, "revoked": bool(person.revoked_at), "flat": self.flat(person)}

    def flat(self, person):
        """What of an account is no instance's: what it used and goes on to use, and what may be charged again [3.8]."""
        uses, to_come = list(self.bands(person.id)), []
        is_frozen = person.owing and person.owing["frozen"] is not None
        for volume in (v for v in self.volumes.values() if v.account == person.id):
            mine = volume.uses(self.book)
            uses += mine
            if volume.end is None and not volume.failed and not (mine and mine[-1][1] is None):
                away = volume.away[-1][0] if volume.away and volume.away[-1][1] is None else None
                since = away if away is not None else person.owing["frozen"] if is_frozen else volume.made_at
                marks = [m for m in self.book.changes(volume.item) if m > since]
                to_come += [(a, b, self.book.at(volume.item, a) * volume.gib) for a, b in zip([since, *marks], [*marks, None])]
        for address in (a for a in self.addresses.values() if a.account == person.id and a.mbit is not None and not a.released):
            if not (address.bands and address.bands[-1][1] is None):
                since, item = person.owing["frozen"] if is_frozen else address.since, f"bandwidth {address.region}"
                marks = [m for m in self.book.changes(item) if m > since]
                to_come += [(a, b, self.book.at(item, a) * address.mbit) for a, b in zip([since, *marks], [*marks, None])]
        return {"uses": uses, "to_come": to_come}

    def volume(self, event, kind, body, now, person):
        """Data disks and snapshots: whether what happens to them can be, and at which second [1.6, 2.7, 2.8, 2.13]."""
        name = body.get("volume", body.get("disk"))
        known = self.volumes.get(name)
        life = self.lives.get(event["instance"]) if event.get("instance") else None

        def must(right, what):
            if not right:
                self.complain(name, what)

        must(life is None or life.account == person.id, f"{kind} for an instance of somebody else")
        if kind == "volume-created":
            of, disk = body["made_of"], name.startswith("disk-")
            order = (1 if disk else 2) * 10**9 + len(self.volumes)
            new = Volume(name, person.id, order, body["zone"], now, of, life.id if life and body.get("bought_with") else None,
                         [(now, body["gib"])])
            cost = self.book.at(new.item, now)
            must(known is None, "it was made twice")
            must(cost is not None and cost * body["gib"] == price(body["price"]), "its price is another than that of the book")
            must(any(z["id"] == body["zone"] for z in self.catalog["zones"]) and body["gib"] >= 1, "it is nowhere, or nothing")
            source = self.volumes.get(of.get("snapshot") or of.get("disk"))
            copied = self.lives.get(of.get("disk"))
            must(disk != (of["of"] == "disk") and (of["of"] != "snapshot" or disk), "it is made of what it cannot be made of")
            if source is not None:
                must(source.account == person.id and source.zone == body["zone"] and source.there and source.end is None,
                     "it is made of what is not there, or is not its owner's")
                must(body["gib"] >= source.gib if disk else body["gib"] == source.gib, "it is of another size than what it is made of")
            elif of["of"] != "nothing":
                must(copied is not None and copied.account == person.id and copied.start is not None and copied.end is None
                     and body["gib"] == self.book.gib and all(n[0] == "lease-end" for n in copied.notices),
                     "it is made of the disk of what is not there, is taken back, or is somebody else's")
            if new.bought_with:
                must(life.start is None and life.end is None and disk, "it came with an instance that was there before")
                new.attached = life.id
            if person.owing and person.owing["frozen"] is not None:
                new.stopped.append([person.owing["frozen"], None])
            self.volumes[name] = new
            return
        if known is None or known.account != person.id:
            return must(False, f"{kind}, and this account never had it")
        must(not known.gone or kind == "volume-gone", f"{kind}, and it is gone")
        if kind == "volume-there":
            at = second(body["at"])
            start = self.lives[known.bought_with].start if known.bought_with else known.made_at
            must(known.since is None and known.end is None and not known.failed, "charge began twice, or after its end")
            must(start is not None and max(start, known.made_at) <= at <= now, "charge began before it was there, or its instance ran")
            known.since, known.there = at, True
        elif kind == "volume-failed":
            must(known.since is None and known.end is None, "it could not be made, and was there")
            known.failed = True
        elif kind == "disk-attached":
            must(life is not None and life.end is None and life.zone == known.zone, "it is attached to what is not there")
            must(known.attached in (None, life and life.id) and known.end is None, "it is attached twice, or after its end")
            known.attached, known.there = life and life.id, True
        elif kind == "disk-detach-asked":
            must(life is not None and known.attached == life.id, "it is to be detached from what it is not attached to")
            known.detaching = True
        elif kind == "disk-detached":
            must(life is not None and known.attached == life.id, "it is detached from what it was not attached to")
            known.attached, known.detaching = None, False
        elif kind == "volume-resized":
            at = second(body["at"])
            must(at == now and body["gib"] > known.gib and known.end is None and not known.failed, "it grew to what it had, or after its end")
            known.sizes.append((at, body["gib"]))
        elif kind == "volume-deleted":
            at = second(body["at"])
            must(known.end is None and not known.failed, "it ended twice")
            if life is None:
                must(known.attached is None and at == now, "it was deleted while it was attached, or at another second than its own")
            else:
                must(known.attached == life.id and life.end is not None and at == max(min(life.end, now), known.since or 0),
                     "it does not go with its instance, or at another second")
            known.end, known.attached = at, None
        elif kind == "volume-lost":
            at = second(body["at"])
            must(known.end is None and known.since is not None and known.since <= at <= now, "it was lost before it was there, or will be")
            known.end = at
        elif kind == "volume-gone":
            must(not known.gone and known.end is not None, "it is gone without an end")
            known.gone, known.attached = True, None
        elif kind == "volume-unavailable":
            since = second(body["since"])
            away = bool(known.away) and known.away[-1][1] is None
            must((known.since or 0) <= since <= now and not away, "its host went away twice, or before it was there")
            if known.end is None:
                known.away.append([since, None])
            else:
                must(since <= known.end, "its host was away after its end")
                known.end = since
        elif kind == "volume-frozen":
            at, owing = second(body["at"]), person.owing
            must(owing and owing["frozen"] is not None and not (known.stopped and known.stopped[-1][1] is None),
                 "it is frozen, and its account is not, or it was already")
            must(life is not None and known.attached == life.id and life.sold == "subscription" and life.end is not None
                 and at == max(min(life.end, now), known.since or 0, owing and owing["frozen"] or 0),
                 "it is frozen at another second than the end of its subscription")
            known.stopped.append([at, None])
        elif kind == "volume-available":
            at = second(body["at"])
            away = bool(known.away) and known.away[-1][1] is None
            must(away and known.away[-1][0] <= at == now, "its host came back, and was not away")
            if away:
                known.away[-1][1] = at

    def budget(self, place, account, person, kind, body, now):
        """It was told of a budget: once a month and share, and not before its time [4.3]."""
        budget, at = person.budget, second(body["at"])
        share = body.get("percent", "expected")
        key = (self.zone.month(at - (kind == "budget-reached")), share)
        if budget is None or amount(body["amount"]) * SHOWN != budget["amount"] or key in person.told_of_budget or not budget["since"] <= at <= now:
            return self.complain(account, "it was told of a budget that there is not, twice in a month, or too early")
        if share not in budget["alerts"] and not (share == "expected" and budget["expected"]):
            self.complain(account, "it was told of a share of its budget for which nobody asked")
        person.told_of_budget.add(key)
        there = [copy.deepcopy(life) for life in self.lives.values() if life.account == account]
        open_ = person.closed[-1][1] if person.closed else 0
        # An hour without anything in it is closed without a word.
        person.shares.append({"place": place, "at": at, "now": now, "share": share, "body": body, "lives": there, "budget": budget, "month": key[0],
                              "grant": copy.copy(person.grant), "at_end": person.at_end, "over": person.ended is not None,
                              "capped": person.cap is not None, "open": open_, "flat": self.flat(person)})

    def traffic(self, event, kind, body, now, person):
        """Public addresses and what leaves them [3.6]."""

        def must(right, what):
            if not right:
                self.complain(body.get("address", person.id), what)

        if person.low_due and kind != "traffic-low":
            must(False, "before this its owner had to be told that little of its traffic is left")
            person.low_due.clear()
        if kind == "traffic-low":
            told = (body["pool"], second(body["month"]), body["percent"], decimal(body["left_gb"], 6), second(body["at"]))
            must(told in person.low_due, f"it is told of {told}, by the rules {person.low_due}")
            person.low_due = [due for due in person.low_due if due != told]
            return
        known = self.addresses.get(body["address"])
        if kind == "address-allocated":
            life = self.lives.get(event.get("instance"))
            zone = next((z for z in self.catalog["zones"] if life and z["id"] == life.zone), None)
            if life is None:
                zone = next((z for z in self.catalog["zones"] if z["region"] == body["region"]), None)
            must(known is None, "it was allocated twice")
            must(zone and zone["region"] == body["region"] and zone.get("traffic"), "there are no public addresses in its region")
            others = [a for a in self.addresses.values() if body.get("ip") is not None and a.ip == body["ip"]]
            must(all(a.released and (now >= a.gone_at + REST or a.account == person.id) for a in others),
                 "another has that address, or had it a short while ago")
            taken = {a.ip for a in self.addresses.values() if not a.released}
            rest = {a.ip for a in self.addresses.values() if a.account == person.id and a.region == body["region"] and a.released
                    and now < a.gone_at + REST and a.ip is not None} - taken
            must(not rest or body.get("ip") in rest, "it got a fresh address, and one of its own rested")
            item = f"traffic {body['region']}"
            must(zone and zone.get("traffic") and self.book.at(item, now) == price(body["price"]), "its price is another")
            must(zone and zone["overseas"] == body["overseas"], "its region is not where it is said to be")
            must(event.get("instance") is None or life and life.account == person.id, "it leads to an instance of somebody else")
            self.addresses[body["address"]] = Address(
                body["address"], person.id, item, body["overseas"], now, event.get("instance"), body["region"], body.get("ip"),
                body.get("mbit"), event.get("instance"))
            return
        if known is None or known.account != person.id:
            return must(False, f"{kind}, and this account never had it")
        must(kind == "traffic-counted" or not known.released, f"{kind}, and it was released")
        if kind == "address-bound":
            life = self.lives.get(event.get("instance"))
            must(known.instance is None, "it is bound, and leads to an instance already")
            must(life and life.account == person.id and region_of(life.zone, self.catalog) == known.region, "it is bound to what is elsewhere")
            must(life and life.released is None, "it is bound to an instance that is gone")
            known.instance = event.get("instance")
            return
        if kind == "address-charged":
            return self.pays_by(known, body, now, must)
        if kind != "traffic-counted":
            must(known.instance == event.get("instance"), f"{kind}, and it leads elsewhere")
        if kind == "address-unbound":
            must(known.instance is not None, "it is unbound, and leads nowhere")
            known.instance = known.bought_with = None
            return
        if kind in ("address-kept", "address-released"):
            life, frozen = self.lives.get(known.instance), person.owing and person.owing["frozen"] is not None
            came = life is not None and known.bought_with == life.id
            must(kind == "address-released" or life and life.released is not None and not (came and life.cause == "never-ran"),
                 "it is kept of an instance that is there, or that never ran and came with it")
            must(kind == "address-kept" or not life or life.released is None or life.cause != "never-ran" or came,
                 "it goes with an instance that never ran, and did not come with it")
            gone = now if life is None or life.released is None or life.end is None else min(max(life.end, person.closed[-1][1] if person.closed else 0), now)
            if kind == "address-kept":
                until = second(body["at"]) if "at" in body else None
                must((until is not None) == bool(frozen and known.is_charged), "its bandwidth is charged on, or ends, and should not")
                must(until is None or until == max(gone, person.owing["frozen"]), "its bandwidth ends at another second")
                if until is not None:
                    known.cease(until)
                known.bought_with = None
            if kind == "address-released":
                open_ = bool(known.bands) and known.bands[-1][1] is None
                until = second(body["at"]) if "at" in body else None
                must((known.mbit is None) == (until is None), "its bandwidth ends, and it has none; or the other way round")
                must(known.mbit is None or open_ or frozen or life and life.start is None, "its bandwidth was not charged before it went")
                must(until is None or frozen or until == gone, "its bandwidth ends at another second")
                known.cease(until or now)
                known.gone_at, known.charged_until = now, until
            known.released, known.instance = kind == "address-released", None
            return
        read = second(body["at"])
        own = second(body["read_at"]) if "read_at" in body else read
        must(body["bytes"] > 0, "a reading counted nothing")
        must(own <= read and (own == read or person.closed and read == person.closed[-1][1] + 1), "a reading is late, and its hour was open")
        must(not known.by_bandwidth(own), "traffic is charged of what is paid by bandwidth")
        must(known.read <= read <= now + 1 and known.since < read, "it was read before it was, or will be")
        known.read = read
        leads_to = self.lives.get(known.instance)
        frozen = person.owing and person.owing["frozen"] is not None and read > person.owing["frozen"]
        must(not frozen or leads_to and leads_to.sold == "subscription", "traffic of a frozen account is charged")
        # What is read of a closed hour counts in the open one.
        must(not person.closed or read > person.closed[-1][1], "a reading counts in an hour that is closed")
        grant = person.grant
        covered = bool(grant and grant["since"] <= read < grant["until"])
        known.readings.append((read, body["bytes"], covered))
        if covered:
            month = self.zone.month(read - 1)
            used = dict(zip(POOLS, self.pools_used(person.id, month)))
            for pool in POOLS:
                size = self.catalog[f"trial_traffic_{pool}_gb"] * GB_PARTS
                left, percent = size - used[pool], self.catalog["trial_warn_below_percent"]
                if left * 100 < size * percent and (pool, month) not in person.low_told:
                    person.low_told.add((pool, month))
                    person.low_due.append((pool, month, percent, left, read))

    def pays_by(self, known, body, now, must):
        """Its bandwidth begins to be charged, or it is paid otherwise [4.4]."""
        at, mbit, life = second(body["at"]) if "at" in body else None, body.get("mbit"), self.lives.get(known.instance)
        before, open_ = known.mbit, known.is_charged
        waits = life is not None and life.start is None and known.bought_with == life.id
        item = f"bandwidth {known.region}" if mbit else known.item
        must(self.book.at(item, now if at is None else at) == price(body["price"]), "its price is another")
        must(mbit is None or mbit > 0, "it has no bandwidth")
        must((at is None) == (waits and mbit != before), "it is paid otherwise before its instance runs, or after that without a second")
        known.mbit = mbit
        if at is None:
            return
        minute = now // 60 * 60
        if mbit is not None and mbit == before:
            must(not open_, "its bandwidth begins twice")
            must(at == now or not known.bands and life and at == life.start, "its bandwidth begins at another second")
        elif not open_:
            must(mbit is not None and at == minute + 60, "its bandwidth begins at another second than the next full minute")
        else:
            held = next((band for band in reversed(known.bands) if band[0] <= now and (band[1] is None or now < band[1])), None)
            if held is None:
                should = known.bands[-1][0]
            elif mbit is None:
                cuts = [mark for mark in self.book.changes(f"bandwidth {known.region}") if mark <= now]
                should = max([minute, held[0], *cuts])
            else:
                should = now + 1 if mbit < held[2] else now
            must(at == should, f"it is paid otherwise from another second on than {clock(should)}")
        must(mbit != before or not open_, "it is paid otherwise, and as before")
        known.cease(at)
        if mbit is not None:
            known.bands.append([at, None, mbit])

    def pools_used(self, account, month):
        """What of a month's pools is used by all readings up to now: it follows from the sums alone."""
        sums = {False: 0, True: 0}
        for address in (a for a in self.addresses.values() if a.account == account):
            total = 0
            for read, count, covered in address.readings:
                if self.zone.month(read - 1) == month:
                    sums[address.overseas] += (((total + count) // 1000) - total // 1000) * covered
                    total += count
        anywhere, overseas = (self.catalog[f"trial_traffic_{pool}_gb"] * GB_PARTS for pool in POOLS)
        beyond = max(sums[True] - overseas, 0)
        return min(sums[False] + beyond, anywhere), min(sums[True], overseas)

    def may_claim(self, account, person, holder):
        """Nobody of the person ran an instance, claimed or waits for one, but for what was overruled [1.6, 3.2]."""
        mine = [other for other in self.people if self.whose(other) == self.whose(account)]
        lives = [life for life in self.lives.values() if life.account in mine]
        if any(life.start is None and life.end is None and life.option != "trial" for life in lives):
            self.complain(account, "it claimed while an order of its person was under way")
        deeds = [("trial-ran-before" if life.account == account else "trial-person-ran", life.start)
                 for life in lives if life.start is not None]
        grants = [self.people[other].grant for other in mine if other != account and self.people[other].grant]
        # Of a person with claims of both kinds, either is named.
        either = len({grant["holder"] for grant in grants}) > 1
        for grant in grants:
            code = "trial-person-claimed" if grant["holder"] == holder else "trial-other-holder-claimed"
            deeds.append(("either" if either else code, grant["since"]))
        until, lifts = person.overruled or (0, set())
        claims = {"trial-person-claimed", "trial-other-holder-claimed"}
        for code, when in deeds:
            if when > until or not lifts & (claims if code == "either" else {code}):
                return self.complain(account, "its person claimed or ran before, and nobody overruled that")

    def buy(self, event, body, at, takings):
        terms = body["purchase"]
        life = Life(event["instance"], event["account"], len(self.lives), body["zone"], body["flavor"], terms,
                    price(terms["price"]), price(body["disk_price"]), body["waits"], at,
                    body.get("took_room", False))
        life.now_flavor, life.now_price, life.sold, life.bought_place = life.flavor, life.price, life.option, event["id"]
        life.now_disk, life.book = life.disk_price, self.book
        if life.id in self.lives:
            self.complain(life.id, "it was bought twice")
        if life.option == "trial" and self.people[life.account].ended:
            self.complain(life.id, "it was bought under a trial that had ended")
        self.lives[life.id] = life
        life.sales.append((event["id"], life.option, life.flavor))
        grant = self.people[life.account].grant
        if life.option == "trial" and grant and grant["revoked"]:
            self.complain(life.id, "bought as a trial after what was left of the grant was taken")
        self.take(life, at, takings, life.waits)

    def take(self, life, at, takings, waits):
        """Those who were given notice stand right before the order that took them [2.5, 2.11]."""
        for when, victim, cause in takings:
            right = "own-order" if self.whose(victim.account) == self.whose(life.account) else "capacity"
            if when != at or not waits or cause != right:
                self.complain(victim.id, f"taken for {life.id} as {cause}; it should be {right}")
        # Those who did not run yet are cancelled without a notice [2.5].
        if takings and not life.took_room or life.took_room and not waits:
            self.complain(life.id, "it is not said rightly whether others had to go for it")
        takings.clear()

    def live(self, life, kind, body, at, takings):
        if kind == "running" and body["first"]:
            if life.start is not None or life.end is not None:
                self.complain(life.id, "it ran for the first time twice, or after its end")
            life.start = second(body["at"])
            for meter in METERS:
                life.begin(meter, life.start)
            life.power, life.took_since = "on", life.start if life.took_room else None
        elif kind == "running" and life.pauses and life.pauses[-1][1] is None:
            if second(body["at"]) < life.pauses[-1][0]:
                self.complain(life.id, "it ran again before it was lost")
            life.pauses[-1][1] = second(body["at"])
            if life.power == "away":
                self.complain(life.id, "its vCPU and memory are charged after a loss, though it was stopped economically")
            for meter in METERS:
                life.begin(meter, second(body["at"]))
            if life.stopping:
                life.power, life.stopping = "off", False  # it went off on its way into the loss, and is charged as stopped
        elif kind in ("frozen", "thawed"):
            self.freeze(life, kind, second(body["at"]), at // 1_000_000)
        elif kind in ("running", "stop-asked", "economical-stop-asked", "stopped", "start-asked", "firm-start-asked", "resized"):
            self.switch(life, kind, body, at, takings)
        elif kind == "host-lost":
            since = second(body["since"])
            if life.start is None or life.option == "spot-block" or since > at // 1_000_000 or (
                    life.pauses and (life.pauses[-1][1] is None or life.pauses[-1][1] > since)):
                self.complain(life.id, "its host was lost when it did not run, or it is a block")
            life.pauses.append([since, None])
            for meter in METERS:
                life.cut_use(meter, since)
            if life.power in ("again", "stopping away"):
                life.power, life.took_since, life.took_room = "away", None, False
        elif kind == "replanned":
            if not life.waits or life.start is not None:
                self.complain(life.id, "planned anew, though it does not wait")
            life.took_room = life.took_room or body.get("took_room", False)
            self.take(life, at, takings, life.waits)
        elif kind == "became-on-demand":
            since, ended = second(body["since"]), self.people[life.account].ended
            if life.sold != "trial" or life.left_trial is not None or life.end is not None and life.end <= since:
                self.complain(life.id, "it became on-demand and was no trial, or had ended")
            life.left_trial, life.left_at_end, life.sold = since, since, "on-demand"
            # Its owner had it end or stop before it was carried out that all stop.
            goes_on = life.end is None and life.used["compute"] and life.used["compute"][-1][1] is None
            if ended and ended["choice"] == "stop" and not goes_on and life.cut_use("compute", since):
                life.ceased_with_trial = since
        elif kind == "coverage-changed":
            since = second(body["since"])
            if life.sold != "trial" or life.start is None or since != at // 1_000_000:
                self.complain(life.id, "its coverage changed, and it is no trial that is charged")
            life.lists.append((since, life.now_flavor, body["covered"]))
            for meter in METERS:
                if life.used[meter] and life.used[meter][-1][1] is None:
                    life.cease(meter, since)
                    life.begin(meter, since)
        elif kind == "price-changed":
            now, item = at // 1_000_000, f"on-demand {life.now_flavor}"
            right = (price(body["price"]), price(body["disk_price"])) == (self.book.at(item, now), self.book.disk(now))
            dates = [date for date in self.book.dates(item) + self.book.dates("system-disk") if date <= now]
            if life.option == "spot-block" or life.sold == "subscription" or life.end is not None or self.is_priced(life, now):
                self.complain(life.id, "its price changed, and it keeps its own, has ended or had that price")
            if not self.is_priced(life, second(body["since"]) - 1):
                self.complain(life.id, "before this it had to be told of another new price")
            if not right or second(body["since"]) != max(dates, default=None):
                self.complain(life.id, "its price changed to another one than that of the book, or since another second")
            life.now_price, life.now_disk = price(body["price"]), price(body["disk_price"])
        elif kind in ("converted", "renewed", "subscription-ends-soon", "subscription-ended", "subscription-began",
                      "renewal-chosen", "renewal-failed"):
            self.months(life, kind, body, at)
        elif kind == "delete-asked":
            life.delete_at = at // 1_000_000
            if life.power == "again" and life.took_room:
                self.complain(life.id, "its start was withdrawn though others had to go for it")
        elif kind == "interruptServer":
            notice, deadline = micros(body["notice_at"]), micros(body["deadline"])
            # The operator may be in a hurry, also after a notice; a deadline never moves back [2.6].
            again = any(told[0] == body["cause"] and told[1] == notice for told in life.notices)
            hurried = (body["cause"] in URGENT_CAUSES | {"breach"} or again) and deadline == at
            earlier = any(told[0] != "lease-end" and told[2] < deadline for told in life.notices)
            if earlier or not hurried and deadline - notice != self.notice_seconds * 1_000_000:
                self.complain(life.id, f"the notice is not {self.notice_seconds} s ahead of its deadline")
            free_until = second(body["free_until"]) if "free_until" in body else None
            if body["cause"] == "drill":
                self.rehearse(life, at, notice, deadline, free_until)
            elif free_until is not None:
                self.complain(life.id, f"a notice for {body['cause']} has the free seconds of a drill")
            elif body["cause"] != "lease-end" and not life.notices and notice != at:
                self.complain(life.id, "a notice is of the instant in which it is given, or of the drill that it takes over")
            life.notices.append((body["cause"], notice, deadline, free_until))
            if body["cause"] in ("capacity", "own-order") and not hurried:
                takings.append((at, life, body["cause"]))
        elif kind == "approved":
            life.approved = micros(body["at"])
        elif kind == "ended":
            if life.end is not None:
                # A host that is found to have been lost before cuts an end short that was written since [1.6].
                life.cut = (life.released is None or body["cause"] in ("trial-end", "arrears")) and second(body["at"]) < life.end
                if not life.cut:
                    self.complain(life.id, "it ended twice")
            life.cause, life.end = body["cause"], second(body["at"])
            acts = self.people[life.account].acts
            life.capped_at = acts[-1]["at"] if acts else None
            life.ended_in = copy.copy(self.people[life.account].owing)
            life.free_from = second(body["waived_since"]) if "waived_since" in body else None
            life.free_until = second(body["waived_until"]) if "waived_until" in body else None
        elif kind == "released":
            life.released, life.gone_at = micros(body["gone_at"]), life.newest
            drills = self.people[life.account].drills
            if life.id in drills and life.end is not None:
                # What it was allotted and did not need goes back to the month; a platform's reclaim needs none of it [2.10].
                asked, allotted = life.drill[1] // 1_000_000, drills[life.id][1]
                used = min(life.end - asked, allotted) if life.cause == "drill" else 0
                drills[life.id] = (drills[life.id][0], used)

    def freeze(self, life, kind, at, now):
        """With its account, and back [5.2]."""
        person, lost = self.people[life.account], bool(life.pauses) and life.pauses[-1][1] is None

        def must(right, what):
            if not right:
                self.complain(life.id, what)

        if kind == "frozen":
            owing = person.owing
            must(owing and owing["frozen"] is not None, "it was frozen, and its account is not")
            must(life.option != "spot-block" and life.sold != "subscription" and life.start is not None and life.end is None
                 and life.frozen is None, "it was frozen, and cannot be")
            account, least = owing and owing["frozen"] or 0, life.took_since + self.taking_minimum if life.took_since is not None else 0
            must(at == max(account, least, life.start or 0) and at <= now, "it was frozen at another second than its account")
            for meter in METERS:
                life.cut_use(meter, at)
            life.frozen = at
            # What a grant pays up to its revoke may have been more than was used, by what is known now.
            person.brought_back = person.brought_back or any(when >= at for when in person.revoked_at)
            return
        cleared = person.arrears[-1]["cleared"] if person.arrears else None
        must(life.frozen is not None and at == cleared == now, "it thawed, and its account did not pay then")
        life.frozen = None
        if not lost:
            life.begin("system-disk", at)

    def switch(self, life, kind, body, at, takings):
        """On, off, off without charge, of another size [1.6, 2.11, 2.12, 3.4, 4.2]."""
        now, lost = at // 1_000_000, bool(life.pauses) and life.pauses[-1][1] is None
        early = life.took_since is not None and now < life.took_since + self.taking_minimum

        def must(right, what):
            if not right:
                self.complain(life.id, what)

        if kind == "stop-asked":
            life.stopping = True
        elif kind in ("running", "stopped", "start-asked"):
            life.stopping = False
        if kind == "running":
            must(life.power in ("off", "again"), "it ran again, and was not started")
            if life.power == "again":
                life.begin("compute", second(body["at"]))
                life.took_since = second(body["at"]) if life.took_room else None
            life.power = "on"
        elif kind == "economical-stop-asked":
            until = second(body["charged_until"]) if "charged_until" in body else None
            must(life.option != "spot-block", "a spot block is never stopped economically")
            must(life.sold != "subscription", "a subscription is never stopped economically")
            must(until is not None or not early, "others had to go for its room, and it left too soon")
            must(not (life.power == "again" and life.took_room), "its start was withdrawn though others had to go for it")
            if until is not None:
                ended = self.people[life.account].ended
                least = now if life.took_since is None else life.took_since + self.taking_minimum
                acts = [act["at"] for act in self.people[life.account].acts[-1:]]
                by_cap = bool(acts) and until == (acts[0] if life.took_since is None else max(acts[0], least))
                must(by_cap or until == life.frozen or ended and ended["choice"] == "stop" and until in (ended["at"], max(ended["at"], least)),
                     "it is charged to a second of which no rule knows")
                if life.left_trial == until and life.used["compute"] and life.used["compute"][-1][1] is None:
                    life.ceased_with_trial = until
                life.cease("compute", until)
            if life.power == "again" or lost:
                life.power, life.took_since, life.took_room = "away", None, False
            else:
                life.power = "stopping away"
        elif kind == "stopped" and body.get("economical"):
            off = second(body["at"])
            must(off <= now, "it was off before it is")
            must(life.power in ("stopping away", "again", "away"), "it is stopped economically, and nobody asked for it")
            life.cease("compute", off)
            if lost:
                life.pauses[-1][1] = off
                if life.frozen is None:
                    life.begin("system-disk", off)
            life.power, life.took_since, life.took_room = "away", None, False
        elif kind == "stopped":
            must(life.power != "stopping away" or life.option == "spot-block", "an economical stop was asked for, and an ordinary one came")
            life.power = "off"
        elif kind == "start-asked":
            must(not life.months or now < life.paid_until, "it was started after the end of its subscription")
            must(life.power == "off", "it was started without looking for the room that it had given back")
        elif kind == "firm-start-asked":
            must(not life.months or now < life.paid_until, "it was started after the end of its subscription")
            must(life.power == "away" and not lost, "it looks for room, and was not stopped economically")
            life.power, life.took_room = "again", body["took_room"]
            self.take(life, at, takings, body["waits"])
        elif kind == "resized":
            terms, since = body["purchase"], second(body["at"])
            must(life.power in ("off", "away") and not lost, "it was resized and not stopped")
            must(not early, "others had to go for its room, and it gave the size up too soon")
            must(terms["option"] == life.sold in ("trial", "on-demand"), "a resize does not change the purchase option")
            must(body["flavor"] != life.now_flavor and since == now, "a resize is to another flavor, and of its instant")
            must(price(terms["price"]) == self.book.at(f"on-demand {body['flavor']}", now), "it is resized at another price than that of the flavor")
            life.now_flavor, life.now_price = body["flavor"], price(terms["price"])
            if life.left_trial is not None:
                life.uncovered.add(since)
            for meter in METERS:
                if life.used[meter] and life.used[meter][-1][1] is None:
                    life.cease(meter, since)
                    life.begin(meter, since)

    def months(self, life, kind, body, at):
        """Sold otherwise, for longer, or to its end: from the second of the event on [4.3]."""
        now, lost = at // 1_000_000, bool(life.pauses) and life.pauses[-1][1] is None
        terms = self.catalog

        def must(right, what):
            if not right:
                self.complain(life.id, what)

        must(life.end is None, f"{kind}, and it had ended")
        if kind == "converted":
            sold = body["purchase"]
            must(body["from"] == life.sold and second(body["at"]) == now, "it is converted from what it was, and at that instant")
            must(life.sold in ("trial", "on-demand") and sold["option"] != life.sold, "what it is cannot become what it is to be")
            life.left_trial = now if life.sold == "trial" else life.left_trial
            if sold["option"] == "on-demand":
                must(price(sold["price"]) == life.now_price, "it is converted to on-demand at another price than it had")
                life.converted, life.hold_price = now, life.now_price + life.now_disk
                life.converted_place = life.newest
            else:
                must(sold["option"] == "subscription", f"nobody converts into {sold['option']}")
                must(life.start is not None and life.power in ("on", "off") and not lost, "only what runs or keeps its room is paid by the month")
                must(second(sold["since"]) == now, "a subscription begins with the conversion")
                for meter in METERS:
                    life.cease(meter, now)
                life.anchor, life.keep_days = now, sold["keep_days"]
                self.pay(life, sold["months"], sold["months"], price(sold["price"]), now, second(sold["until"]), now, now)
                # A month is more than what one for whom others had to go owes [2.11].
                life.took_since, life.took_room = None, False
            life.sold = sold["option"]
        elif kind == "subscription-began":
            if life.option != "subscription" or life.months or life.start is None:
                return must(False, "months began of what was not ordered so, or does not run")
            must(second(body["since"]) == life.start, "the months do not begin with its first second")
            must(body["months"] == life.terms.get("months") and price(body["price"]) == life.price, "other months are paid than were ordered")
            life.anchor, life.keep_days = life.start, life.terms.get("keep_days")
            self.pay(life, body["months"], body["months"], price(body["price"]), life.start, second(body["until"]), now,
                     life.bought_at // 1_000_000)
            life.took_since, life.took_room = None, False
        elif kind == "renewal-chosen":
            must(life.sold == "subscription" and not life.over, "a renewal was chosen of what does not end by the month")
            must(body.get("months") != life.renews, "what was chosen already was chosen again")
            life.renews = body.get("months")
        elif not life.months:
            must(False, f"{kind}, and it is no subscription")
        elif kind == "renewed":
            since = now if life.over else life.paid_until
            if life.over:
                life.anchor, before = now, 0
            else:
                must(now < life.paid_until or life.renews and (now == life.paid_until or body.get("auto")),
                     "it was renewed after its end, which nobody carried out")
                must(not body.get("auto") or body["months"] == life.renews and now >= life.paid_until,
                     "it renewed itself before its end, or as nobody chose")
                before = sum(n for begun, _, n, _, _ in life.months if begun >= life.anchor)
            must(second(body["since"]) == since, "renewed months begin where the paid ones end, or now")
            life.over, life.keep_days = False, terms["subscription_keep_days"]
            self.pay(life, body["months"], before + body["months"], price(body["price"]), since, second(body["until"]), now,
                     since if body.get("auto") else now, body.get("auto", False))
        elif kind == "renewal-failed":
            flavor = next((f for f in terms["flavors"] if f["id"] == life.now_flavor), {})
            cost = self.book.month(life.now_flavor, life.paid_until) * body["months"] * HOUR if flavor.get("subscription") else None
            needed = None if cost is None else posted(cost)
            available, why = amount(body["available"]), body["why"]
            must(life.renews == body["months"] and not life.over, "it could not do what nobody chose")
            must(second(body["at"]) == life.paid_until <= now, "it could not renew itself at another second than its end")
            must((amount(body["needed"]) if "needed" in body else None) == needed, "another sum was needed")
            must({"insufficient-funds": needed is not None and available < needed, "arrears": self.people[life.account].owing is not None,
                  "not-on-sale": needed is None, "spending-cap": self.people[life.account].cap is not None}.get(why, False),
                 "no rule stood against its renewal")
            life.failed_at = life.paid_until
            life.money_told.append((life.newest, available, cost or 0, life.paid_until))
        elif kind == "subscription-ends-soon":
            due = life.paid_until - body["days"] * DAY
            again = any(told[:2] == (body["days"], life.paid_until) for told in life.told)
            must(body["days"] in terms["subscription_warn_days_before"] and not again, "there was a warning of nothing")
            must(second(body["until"]) == life.paid_until and due <= now < life.paid_until, "the warning is of another instant")
            life.told.append((body["days"], life.paid_until, now))
            told = body.get("renewal")
            must((told or {}).get("months") == life.renews, "it is not said rightly whether it renews itself")
            if told:
                flavor = next((f for f in terms["flavors"] if f["id"] == life.now_flavor), {})
                cost = self.book.month(life.now_flavor, life.paid_until) * told["months"] * HOUR if flavor.get("subscription") else 0
                must(amount(told["needed"]) == posted(cost), "its renewal will cost another sum")
                life.money_told.append((life.newest, amount(told["available"]), cost, now))
        else:
            must(not life.over, "its subscription ended twice")
            must(life.renews is None or life.failed_at == life.paid_until, "it was to renew itself, and it is not said why it did not")
            must(second(body["at"]) == life.paid_until <= now, "it is paid to another second than that of its end")
            must(second(body["kept_until"]) == life.kept_until, "it is kept for another time than the terms say")
            life.over, life.took_since, life.took_room = True, None, False
            life.power = "away" if lost or life.power in ("again", "away") else "stopping away"

    def pay(self, life, months, all_months, cost, since, until, now, priced_at, auto=False):
        """Paid in advance: the months are counted from the first, and the price is that of the flavor and its disk [4.3]."""

        def must(right, what):
            if not right:
                self.complain(life.id, what)

        flavor = next((f for f in self.catalog["flavors"] if f["id"] == life.now_flavor), {})
        must(flavor.get("subscription") and self.book.month(life.now_flavor, priced_at) == cost, "the price per month is another")
        most = self.catalog["subscription_max_months"]
        sold = months <= most if auto else until <= self.zone.plus_months(now, most)
        must(months >= 1 and sold, "so many months are not sold")
        must(until == self.zone.plus_months(life.anchor, all_months), "the months do not end where the calendar says")
        must(life.keep_days == self.catalog["subscription_keep_days"], "it is kept for another time than the catalog says")
        # What nobody asked for is paid in the second in which it begins, however late that is carried out.
        life.months.append((since, until, months, cost, min(now, since)))
        life.paid_at.append(life.newest)

    def rehearse(self, life, at, notice, deadline, free_until):
        """May this drill begin, and how much of it is free? What earlier ones of the month were allotted counts [2.10]."""
        drills, asked = self.people[life.account].drills, notice // 1_000_000
        day = self.zone.date(asked)
        if notice != at:
            self.complain(life.id, "the notice of a drill is not of the instant of its request")
        if life.option != "spot-block" or life.start is None or life.end is not None or life.notices:
            self.complain(life.id, "a drill of what is no running block, or under a notice")
        if life.lease_end is not None and life.lease_end * 1_000_000 <= deadline:
            self.complain(life.id, "a drill of a block whose lease ends before the deadline")
        if sum(other == day for other, _ in drills.values()) >= self.drills_per_day:
            self.complain(life.account, f"more than {self.drills_per_day} drills on {day}")
        month = sum(free for other, free in drills.values() if (other.year, other.month) == (day.year, day.month))
        allotted = min(max(self.drill_free_seconds - month, 0), self.notice_seconds + LATE)
        if free_until != asked + allotted:
            self.complain(life.id, f"the drill is free until {free_until}, by the rules until {asked + allotted}")
        drills[life.id] = (day, allotted)


def check_life(life, taking_minimum, complain):
    """Do the end and its waiver follow from what happened before? [2.3, 2.6, 2.11]"""

    def must(right, what):
        if not right:
            complain(life.id, what)

    if life.end is None:
        must(life.released is None, "it is released and never ended")
        must(life.delete_at is None, "a delete was accepted and ended nothing")
        return
    lease, reclaims = life.lease_end, [n for n in life.notices if n[0] != "lease-end"]
    free_from = free_until = None
    if life.cause == "never-ran":
        must(life.start is None, "it ran, but is said never to have run")
        must(not (life.took_room and life.delete_at), "it was withdrawn though others had to go for it")
    elif life.start is None:
        complain(life.id, f"it ended by {life.cause} and never ran")
    elif life.cause == "lease-end":
        must(life.end == lease, f"the lease ends at {clock(lease or 0)}, the charge at {clock(life.end)}")
    elif life.cause == "deleted":
        lost = life.pauses and life.pauses[-1][1] is None
        least = life.took_since + taking_minimum if life.took_since is not None and not lost else life.start
        asked = min(life.delete_at, life.pauses[-1][0]) if lost and life.delete_at else life.delete_at
        if asked is None and life.approved is not None:
            asked = life.approved // 1_000_000
        must(max(asked or 0, least) == life.end or life.cut and life.end < max(asked or 0, least), "charge does not end when the delete was accepted, or the minimum is over")
        must(lease is None or life.end < lease, "at the end of the lease the natural end wins")
        must(not reclaims, "it was deleted under a notice")
    elif life.cause in (FREE_CAUSES | {"own-order"}) - {"lost"}:
        notice = next((n for n in reversed(reclaims) if n[0] == life.cause), None)
        must(life.option == "spot-block", "only a spot block is taken back")
        must(notice is not None, f"it ended by {life.cause} without a notice")
        gone = None if life.released is None else life.released // 1_000_000
        # A late machine makes nobody pay beyond his lease.
        must(gone is not None and life.end == (min(gone, lease) if life.cause == "own-order" else gone), "a reclaim ends at the release")
        if notice and life.released is not None:
            must(life.released >= notice[2] or life.approved == life.released, "it was released before the deadline")
            free_from = life.period_start(notice[1] // 1_000_000) if life.cause in FREE_CAUSES else None
            # Who takes a drill over keeps its notice, and its deadline unless his own is earlier [2.10].
            must(not life.drill or notice[1] == life.drill[1], "the notice is not that of the drill it took over")
            must(not life.drill or notice[2] <= life.drill[2], "a drill's deadline was put off")
    elif life.cause == "drill":
        must(life.drill is not None, "it ended by a drill without its notice")
        must(all(n[0] == "drill" for n in reclaims), "the platform took the drill over, so the cause is the platform's")
        must(life.released is not None and min(life.released // 1_000_000, lease) == life.end, "a drill ends at the release")
        if life.drill and life.released is not None:
            must(life.released >= life.drill[2] or life.approved == life.released, "it was released before the deadline")
            free_from = life.drill[1] // 1_000_000
            free_until = life.drill[3] if life.drill[3] is not None and life.drill[3] < life.end else None
    elif life.cause == "trial-end":
        must(life.option == "trial", "only a trial ends with its grant")  # when: see check_trial
    elif life.cause == "subscription-end":
        must(life.months and life.over and life.end == life.kept_until, "a subscription is released when it was kept long enough")
    elif life.cause == "spending-cap":
        must(life.option == "spot-block" and life.capped_at is not None, "a cap ends blocks, when it acts")
        must(life.end == max(life.capped_at or 0, life.start), "it does not end with the second of the cap")
        must(not reclaims, "a cap leaves alone what is taken back")
    elif life.cause == "arrears" and life.limited_at is not None:
        must(not reclaims and life.end == min(life.limited_at, life.lease_end), "it does not end with the hour in which the debt limit was passed")
    elif life.cause == "arrears":
        owing = life.ended_in
        must(owing and owing["frozen"] is not None and not reclaims, "its account was not frozen when it ended by arrears")
        with_account = owing and life.end == max(owing["frozen"] or 0, life.start)
        lost = life.pauses[-1][0] if life.pauses and life.pauses[-1][1] is None else None
        with_all = owing and life.frozen is not None and owing["released"] is not None and life.end in (owing["released"], lost)
        must(with_all or with_account and (life.option == "spot-block" or life.cut), "it does not end when its account is frozen, or all released")
    elif life.cause == "breach":
        must(all(n[0] in ("drill", "breach") for n in reclaims), "a breach under the platform's notice")
    elif life.cause == "lost":
        told = min([life.end] + [told[1] // 1_000_000 for told in reclaims])
        free_from = life.period_start(told) if life.option == "spot-block" else None
    else:
        complain(life.id, f"nobody knows the cause {life.cause}")
    must(life.start is None or life.end >= life.start, "it ended before it began")
    must(life.free_from == free_from, f"free from {life.free_from}, by the rules from {free_from}")
    must(life.free_until == free_until, f"free until {life.free_until}, by the rules until {free_until}")


def check_months(life, catalog, now, complain):
    """Did a subscription end when it had to, and was its owner told before? [4.3]"""
    if not life.months:
        if life.option == "subscription" and life.start is not None:
            complain(life.id, "it was bought by the month and runs, and nothing was paid")
        return

    def must(right, what):
        if not right:
            complain(life.id, what)

    # One whose host was lost ends where it was, and was there to be paid for until it was released.
    lost = life.pauses and life.pauses[-1][1] is None and life.released
    last = now if life.end is None else min(life.released // 1_000_000 if lost else life.end, now)
    must(life.over or life.paid_until >= last, "its paid time is over, and nothing came of it")
    must(life.end is not None or life.kept_until >= now, "it was kept long enough, and is there still")
    for (_, until, _, _, paid_at), after in zip(life.months, [*life.months[1:], None]):
        known_to = after[4] if after else last
        for days in catalog["subscription_warn_days_before"]:
            at, times = until - days * DAY, sum(told[:2] == (days, until) for told in life.told)
            # What comes in the very second may be before or after.
            must(times == 1 or times == 0 and not paid_at < at < known_to, f"it was not told {days} days before {clock(until)}")
            must(times == 0 or at <= known_to, f"it was told {days} days before an end that did not come")


def place_of(piece, person):
    """The place in the log of the event with which a piece was settled."""
    if piece.months is not None:
        return next(at for at, paid in zip(piece.life.paid_at, piece.life.months) if paid[0] == piece.since)
    if piece.meter == "compute" and piece.life.option == "spot-block":
        return piece.life.gone_at
    return person.closes.get(piece.settled_at)


BACK = ("debt", "cash", "grant", "expired")


def to_vouchers(said):
    return [(one["voucher"], one["amount"], one.get("gone")) for one in said.get("vouchers", [])]


def part(person, body, thing, vouchers, had, now):
    """Gives back of a record in the reverse order: what was paid in cash, then to vouchers, the last one first, then to the grant; to each no more
    than it paid, and not twice. Gives what goes to debt or cash, to which vouchers, to the grant, and what that had paid [5.3]."""
    flow = isinstance(thing, Flow)
    whole, grant = (10_000, 0) if flow else (SHOWN, thing.grant // SHOWN)
    cash = thing.cash // whole - had.get("cash", 0)
    payable = min(amount(body["amount"]), cash)
    rest, to = amount(body["amount"]) - payable, []
    for voucher, fine in reversed(thing.paid):
        units = min(rest, fine // FINE_SHOWN - had.get(voucher, 0))
        if units > 0:
            to.append((voucher, vouchers[voucher].kind, units, vouchers[voucher].take_back(units, now)))
            had[voucher] = had.get(voucher, 0) + units
            rest -= units
    left = grant - had.get("grant", 0)
    had["cash"], had["grant"] = had.get("cash", 0) + payable, had.get("grant", 0) + rest
    return payable, to, rest, left


class Money:
    """What an account had at a place in the log: what was settled by then stands before it [4.3, 5.2]."""

    def __init__(self, log, person, lives, mine, flowed):
        self.person, self.lives, self.mine, self.catalog = person, lives, mine, log.catalog
        self.vouchers = [v for v in log.vouchers.values() if v.account == person.id]
        self.settled = [(place_of(p, person), p) for p in mine if p.settled_at is not None and p.payable]
        self.sent = [(person.closes.get(flow.hour_end), flow) for flow in flowed if flow.payable]
        self.returned = [(when, amount(body["back"]["cash"]) + amount(body["back"]["debt"])) for when, _, body in person.given_back]

    def purse(self, at):
        """Cash, or below nothing what is owed."""
        cash = sum(units for when, units in [*self.person.top_ups, *self.returned] if when < at)
        cash -= posted(sum(piece.cash for when, piece in self.settled if when is not None and when < at))
        return cash - posted_traffic(sum(flow.cash for when, flow in self.sent if when is not None and when < at))

    def available(self, at, when, life, cost):
        """What was there for months of an instance that come to so much: unbound cash, and what vouchers would pay of it."""
        there = []
        for voucher in self.vouchers:
            if voucher.issued < at and not any(end[0] < at for end in voucher.ends):
                paid = [fine for place, thing in [*self.settled, *self.sent] if place is not None and place < at
                        for which, fine in thing.paid if which == voucher.id]
                back = [amount(one["amount"]) * FINE_SHOWN for place, _, body in self.person.given_back if place < at
                        for one in body["back"].get("vouchers", []) if one["voucher"] == voucher.id and not one.get("gone")]
                there.append(replace(voucher, left=voucher.face * FINE_SHOWN - sum(paid) + sum(back), over=None))
        holds = [(one, *self.held_at(one, at)) for one in self.lives]
        holds = [one for one in holds if one[1]] + [(life, posted(cost), when, 0, True)]
        return max(self.purse(at), 0) - needed_in_cash(there, holds, when, self.catalog, at) + posted(cost)

    def held_at(self, life, at):
        """What is held for one then [5.2]: how much, since when, for how long, and whether for months."""
        if life.bought_place >= at or life.gone_at is not None and life.gone_at < at or any(paid < at for paid in life.paid_at):
            return 0, 0, 0, False
        if life.option == "subscription":
            return ordered(life, self.catalog)
        since = life.bought_at // 1_000_000
        if life.option == "spot-block":
            return posted((life.price + life.disk_price) * life.period), since, life.period, False
        converted = life.converted_place is not None and life.converted_place < at
        if life.option == "trial" and not converted:
            return 0, 0, 0, False
        since, cost = (life.converted, life.hold_price) if converted else (since, life.price + life.disk_price)
        hours = [when for when, p in ((place_of(p, self.person), p) for p in self.mine if p.life is life and p.meter == "compute"
                                      and p.until > since and p.settled_at is not None)]
        return (0, 0, 0, False) if any(when is not None and when < at for when in hours) else (posted(cost * HOUR), since, HOUR, False)


def ordered(life, catalog):
    """What is held of an order by the month: all of it, until it need not wait any more [1.6, 5.2]."""
    waits = catalog["firm_wait_seconds"] + catalog["boot_timeout_seconds"]
    return posted(life.price * life.terms["months"] * HOUR), life.bought_at // 1_000_000, waits, True


def check_money(money, person, lives, mine, flowed, bill, complain):
    """Was the money for months there when they were paid or ordered, and what is given back of a record paid for it? [4.3, 5.3]"""
    purse = money.purse
    for life in lives:
        if life.option == "subscription":
            cost = life.price * life.terms["months"] * HOUR
            if posted(cost) > money.available(life.bought_place, life.bought_at // 1_000_000, life, cost):
                complain(life.id, "it was ordered by the month, and the money was not there")
        for at, told, cost, when in life.money_told:
            there = money.available(at, when, life, cost)
            if told != there:
                complain(life.id, f"{told} are said to have been available, by the rules {there}")
        for at, (since, _, months, cost, _) in zip(life.paid_at, life.months):
            if life.option == "subscription" and at == life.paid_at[0]:
                continue  # held since it was ordered
            by_vouchers = sum(p.by_vouchers for p in mine if p.life is life and p.months is not None and p.since == since)
            if posted(cost * months * HOUR - by_vouchers) > purse(at):
                complain(life.id, "months were paid for which the money was not there")

    # Debt first, then cash; how much of each, and what vouchers and grant get, is known by now [5.3].
    for place_, _, body in person.given_back:
        parted = person.parted.get(place_)
        if parted is None:
            complain(person.id, f"something was given back of {body['record']}, which is no record of its")
            continue
        payable, to, granted, left = parted
        back = {name: amount(body["back"][name]) for name in BACK}
        debt = min(payable, max(-purse(place_), 0))
        if granted > left:
            complain(body["record"], "more was given back than was paid")
        if (back["debt"], back["cash"], back["grant"] + back["expired"]) != (debt, payable - debt, granted):
            complain(body["record"], f"{back} was given back, by the rules {debt} off the debt, {payable - debt} in cash and {granted} to the grant")
        said = [(one["voucher"], one["kind"], amount(one["amount"]), one.get("gone")) for one in body["back"].get("vouchers", [])]
        if said != to:
            complain(body["record"], f"{said} was given back to vouchers, by the rules {to}")
    wanted = [(b["record"], b["amount"], b["reason"], b["by"], *(b["back"][n] for n in BACK), to_vouchers(b["back"]))
              for _, _, b in person.given_back]
    shown = [(a["record"], a["amount"], a["reason"], a["by"], *(a[n] for n in BACK), to_vouchers(a)) for a in bill.get("adjustments", [])]
    if wanted != shown:
        complain(person.id, "what is shown as given back is not what the log says")


# ---- coupons and cards --------------------------------------------------------------------------------------------


def region_of(zone, catalog):
    return next((z["region"] for z in catalog["zones"] if z["id"] == zone), None)


def about(thing, place, catalog):
    """What a record is about: item, purchase option, flavor, region, as they are when it is settled [5.1]."""
    if isinstance(thing, Flow):
        return "traffic", None, None, thing.address.region
    if thing.meter == "bandwidth":
        return "bandwidth", None, None, thing.life.region
    if thing.meter in FLAT:
        return thing.meter, None, None, region_of(thing.life.zone, catalog)
    sold, flavor = thing.life.as_of(place)
    if thing.months is not None:
        option = "subscription"
    elif sold in ("spot-block", "trial"):
        option = sold
    else:
        option = "trial" if thing.covered else "on-demand"
    return thing.meter, option, flavor, region_of(thing.life.zone, catalog)


def let_pay(vouchers, owed, unit, what):
    """What vouchers pay, in the order given, of so many units of a record: whole ones; [voucher, fine]."""
    paid = []
    for voucher in vouchers:
        units = min(owed, voucher.left // unit) if voucher.left >= FINE_TIME and voucher.may_pay(*what) else 0
        if units:
            owed -= units
            voucher.left -= units * unit
            voucher.used += units * unit
            paid.append((voucher.id, units * unit))
    return paid


def pay(vouchers, at, things, place, catalog):
    """Records that are settled at once: each by those that may pay it and are valid then, the earliest expiry first [5.1]."""
    order = sorted((v for v in vouchers if v.valid(at) and not v.over), key=lambda v: v.rank)
    for thing in things:
        unit = FINE_TRAFFIC if isinstance(thing, Flow) else FINE_TIME
        thing.paid = let_pay(order, thing.owed, unit, about(thing, place, catalog))


def in_order(things):
    """As records are paid: by time of older instances first, vCPU and memory before the disk; then traffic, mainland first."""
    pieces_ = [t for t in things if isinstance(t, Piece)]
    pieces_.sort(key=lambda p: (p.since // HOUR if p.settled_at is None else 0, p.life.order, ORDER.index(p.meter), p.since))
    flows_ = [t for t in things if isinstance(t, Flow)]
    return pieces_ + sorted(flows_, key=lambda f: (f.since, f.address.overseas, f.address.id))


def check_vouchers(log, person, mine, flowed, bill, now, complain):
    """Lets vouchers pay what was settled, and get back what is given back, in the order of the log, and looks whether what is said of them
    follows [5.1, 5.3].

    Afterwards each record knows what was paid of it, and each voucher what is left."""
    vouchers = [v for v in log.vouchers.values() if v.account == person.id]
    settlements, days = {}, log.catalog.get("voucher_warn_days", 7)
    for thing in mine + [flow for flow in flowed if flow.hour_end <= now]:
        flow = isinstance(thing, Flow)
        place = person.closes.get(thing.hour_end) if flow else place_of(thing, person) if thing.settled_at is not None else None
        if place is not None and thing.owed:
            at = thing.hour_end if flow else thing.settled_at
            settlements.setdefault(place, (at, []))[1].append(thing)
    steps = [(place, 1, settled) for place, settled in settlements.items()]
    steps += [(end[0], 0, (v, end)) for v in vouchers for end in v.ends]
    steps += [(told[0], 0, (v, told)) for v in vouchers for told in v.told]
    steps += [(place, 2, (at, body)) for place, at, body in person.given_back]
    keys = {r["id"]: (r["resource"], r["meter"], second(r["since"])) for r in bill["records"]}
    keys |= {r["id"]: (r["address"], "traffic", second(r["since"])) for r in bill.get("traffic", [])}
    things = {(p.life.id, p.meter, p.since): p for p in mine if p.settled_at is not None}
    things |= {(f.address.id, "traffic", f.since): f for f in flowed if f.hour_end <= now}
    known, had = {v.id: v for v in vouchers}, {}
    for place, kind, (which, what) in sorted(steps, key=lambda step: step[:2]):
        if kind == 2:
            thing = things.get(keys.get(what["record"]))
            if thing is not None:
                person.parted[place] = part(person, what, thing, known, had.setdefault(what["record"], {}), which)
            continue
        if kind == 1:
            there = [v for v in vouchers if v.issued < place]
            before = {v.id: v.used for v in there}
            pay(there, which, in_order(what), place, log.catalog)
            for v in there:
                if v.used != before[v.id] and v.left < FINE_TIME:
                    v.ran_out.append(which)
                    v.over_at = which
            continue
        v, rest = which, which.rest
        if what in v.told:
            if (what[2], what[3]) != (rest, v.until) or v.over or not v.left:
                complain(v.id, f"it is told that {what[2]} of it expires, by the rules {rest}")
        elif v.over is None:
            _, v.over, v.over_at, said = what
            if said != rest or not rest:
                complain(v.id, f"{said} of it is {v.over}, by the rules {rest}")
            v.gone, v.left = v.gone + rest, 0
    for v in vouchers:
        if v.used_up != v.ran_out:
            complain(v.id, "it is said to be used up when it was not, or not when it was")
        if v.until is not None and v.until <= now and not v.over and v.rest:
            complain(v.id, "it expired, and nothing came of it")
        due = None if v.until is None else max(v.until - days * DAY, v.since)
        empty = v.left < FINE_TIME
        if due is not None and v.filled is not None and v.ran_out and v.ran_out[0] <= due:
            due = max(due, v.filled)  # it was used up before
        times = len(v.told)
        if times > 1 or times and (due is None or not due <= v.told[0][1] < v.until):
            complain(v.id, "its owner was told of its end twice, or at another time")
        last = min([now, v.until or now] + ([v.over_at] if v.over_at is not None and empty else []))
        if not times and due is not None and due < last:
            complain(v.id, "its owner was not told that it expires")
    # What is not settled is shown as if it were, at this second: hours, then traffic, then blocks.
    left = [copy.copy(v) for v in vouchers]
    block = lambda p: p.meter == "compute" and p.life.option == "spot-block"
    accruing = [p for p in mine if p.settled_at is None]
    hourly = [p for p in accruing if not block(p)] + [flow for flow in flowed if flow.hour_end > now]
    pay(left, now, in_order(hourly), None, log.catalog)
    pay(left, now, in_order_of_blocks([p for p in accruing if block(p)]), None, log.catalog)


def in_order_of_blocks(pieces_):
    return sorted(pieces_, key=lambda p: (p.life.order, p.since))


def needed_in_cash(vouchers, holds, now, catalog, place=None):
    """What vouchers would not pay of what is held back, or wanted, were it settled: each by those still valid when its time is over [5.2]."""
    vouchers, paid = [copy.copy(v) for v in vouchers if v.valid(now) and not v.over], 0
    for life, held, since, seconds, months in holds:
        # A block is settled at its release, after all of its periods, and begins a while after it was bought.
        settles = since + (life.terms["hours"] * life.terms["periods"] + 1) * HOUR if life.option == "spot-block" else since + seconds
        until = max(settles, now)
        order = sorted((v for v in vouchers if v.valid(until)), key=lambda v: v.rank)
        disk = min(life.disk_price * seconds, held * SHOWN)
        option = "spot-block" if life.option == "spot-block" else "subscription" if months else "on-demand"
        parts = (("subscription", held * SHOWN),) if months else (("compute", held * SHOWN - disk), ("system-disk", disk))
        for item, owed in parts:
            what = (item, option, life.as_of(place)[1], region_of(life.zone, catalog))
            paid += sum(fine for _, fine in let_pay(order, owed, FINE_TIME, what))
    return -((paid - sum(one[1] for one in holds) * FINE_SHOWN) // FINE_SHOWN)


def compare_vouchers(log, person, shown, complain):
    """Are those there that the log has, with what they paid and what is left?"""
    mine = {v.id: v for v in log.vouchers.values() if v.account == person.id}
    if sorted(mine) != sorted(one["id"] for one in shown):
        complain(person.id, "the vouchers are not those of the log")
    for one in shown:
        v = mine.get(one["id"])
        if v is None:
            continue
        used = posted_fine(v.used)
        says = {
            "kind": (one["kind"], v.kind),
            "face": (amount(one["face"]), v.face),
            "used": (amount(one["used"]), used),
            "left": (amount(one["left"]), v.rest),
            "expired": (amount(one["expired"]), v.gone if v.over != "revoked" else 0),
            "revoked": (amount(one["revoked"]), v.gone if v.over == "revoked" else 0),
            "valid_from": (second(one["valid_from"]), v.since),
            "expires_at": (second(one["expires_at"]) if "expires_at" in one else None, v.until),
            "pays": (one["pays"], v.pays),
        }
        for name, (is_, should) in says.items():
            if is_ != should:
                complain(v.id, f"{name} is {is_}, by the rules {should}")


def check_terms(life, grant, catalog, book, complain):
    """Was it sold as the catalog says? [2.1, 3.3]"""

    def must(right, what):
        if not right:
            complain(life.id, what)

    flavor = next((f for f in catalog["flavors"] if f["id"] == life.flavor), None)
    zone = next((z for z in catalog["zones"] if z["id"] == life.zone), None)
    if flavor is None or zone is None:
        return complain(life.id, f"{life.flavor} in {life.zone} is not in the catalog")
    bought = life.bought_at // 1_000_000
    must(life.disk_price == book.disk(bought), "the price of the system disk is another")
    if life.option == "spot-block":
        hours, periods = life.terms["hours"], life.terms["periods"]
        sold = 1 <= hours <= len(flavor["spot"]) and 1 <= periods <= flavor["spot_max_periods"]
        must(sold and (periods == 1 or hours == 6), f"{hours} hours, {periods} periods are not on sale")
        must(sold and life.price == book.at(f"spot-block {life.flavor} {hours}h", bought), "the price of the block is another")
    elif life.option == "subscription":
        must(flavor.get("subscription") and life.price == book.month(life.flavor, bought), "the price per month is another")
        must(1 <= life.terms["months"] <= catalog["subscription_max_months"], "so many months are not sold")
        must(life.terms["keep_days"] == catalog["subscription_keep_days"], "it is kept for another time than the catalog says")
    else:
        must(flavor.get("on_demand") and life.price == book.at(f"on-demand {life.flavor}", bought), "the on-demand price is another")
    if life.option == "trial":
        must(grant and flavor["trial"] and zone["trial"], "there is no trial for this")
        must(grant and grant["since"] <= life.bought_at // 1_000_000 < grant["valid_until"], "the trial was not valid")


def exhaustion(lives, grant, budget, catalog):
    """The last second up to which `budget` pays, hour by hour, min(covered charges, cap); None if it lasts to the end [3.8].

    What ended with the trial, or left it, counts as if it went on: it is what the budget would have had to pay."""
    draws = []
    for life in (life for life in lives if life.option == "trial" and life.start is not None):
        for meter in METERS:
            for since, until, cost, may in stretches(life, meter, grant, catalog, grant["until"]):
                lost = bool(life.pauses) and life.pauses[-1][1] is None
                goes_on = life.cause == "trial-end" and until == life.end and not lost
                goes_on = goes_on or until in (life.left_at_end, life.ceased_with_trial)
                until = grant["until"] if goes_on else min(until, grant["until"])
                if may:
                    draws.append((max(since, grant["since"]), until, cost))
    draws = [draw for draw in draws if draw[0] < draw[1]]
    if budget < 0:
        return grant["since"] - 1
    if not draws:
        return None

    def hour_to(start, at):
        return min(sum(p * max(min(b, at) - max(a, start), 0) for a, b, p in draws), grant["cap"])

    hour = min(a for a, _, _ in draws) // HOUR * HOUR
    while hour < grant["until"]:
        whole = hour_to(hour, hour + HOUR)
        if whole > budget:
            low, high = hour, hour + HOUR
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if hour_to(hour, middle) <= budget else (low, middle)
            return low
        budget -= whole
        hour += HOUR
    return None


def check_trial(person, lives, catalog, now, complain):
    """Did the grant end when it had to, what became of its instances, and of what was the owner warned? [3.7, 3.8]"""

    def must(thing, right, what):
        if not right:
            complain(thing, what)

    grant, ended = person.grant, person.ended
    if person.gone and not ended:
        return  # a closed account draws on nothing, and nobody is there to be warned
    back = person.back(person.ended_place)
    at, by = exhaustion(lives, grant, grant["issued"] - grant["revoked"] + back, catalog), "used-up"
    if at is None:
        at, by = grant["until"], "revoked" if grant["revoked"] else "validity"
    choice = ended["choice"] if ended else person.at_end
    over = at + 1 if (by, choice) == ("used-up", "continue") else at
    if ended:
        must(person.id, (ended["at"], ended["by"]) == (at, by),
             f"the trial ended at {clock(ended['at'])} ({ended['by']}), by the rules at {clock(at)} ({by})")
        must(person.id, over <= now, "the trial ended before its time")
    else:
        must(person.id, over >= now, f"the trial ended at {clock(at)}, and nothing came of it")
    for life in lives:
        there = ended is not None and life in ended["there"]
        waits, took_since = ended["owes"][life.id] if there else (False, None)
        stays = choice == "continue" or waits or choice == "stop" and life.start is not None
        if there and choice == "stop" and stays and not waits and life.start is not None:
            least = over if took_since is None else max(over, took_since + person.taking_minimum)
            runs = [until for since, until, _, _ in life.uses("compute", now) if since < least < until]
            must(life.id, not runs, "it should have been stopped with the trial")
        if there and stays and life.cause not in ("never-ran", "trial-end"):
            must(life.id, life.left_trial == over or life.left_trial is None and life in ended["leaving"],
                 f"it should be on-demand from {clock(over)} on")
        elif there and not stays:
            least = max(at, life.start) if life.start is not None else at
            must(life.id, life.cause in ("trial-end", "never-ran") or life.end is not None and life.end <= least,
                 "it should have gone with the trial")
        if life.cause == "trial-end" and life.start is None:
            must(life.id, False, "it ended with its trial and never ran")
        elif life.cause == "trial-end":
            least = max(at, life.start)
            if took_since is not None:
                least = max(least, took_since + person.taking_minimum)
            paused = life.pauses[-1][0] if life.pauses and life.pauses[-1][1] is None else least
            must(life.id, there and not stays and life.end == min(least, paused), "it does not end with the trial")
        must(life.id, life.left_trial is None or life.sold == "subscription" or life.converted is not None or there and stays, "it became on-demand, and its trial went on")
    share = -(-grant["issued"] * LOW // 100)
    low = exhaustion(lives, grant, grant["issued"] - share + person.back(person.low_place), catalog)
    due = [] if grant["revoked"] else [(f"{days} days", grant["until"] - days * DAY) for days in DAYS_BEFORE]
    due += [(f"{LOW} %", low + 1)] if low is not None else []
    due = [warning for warning in due if warning[1] < over]
    for warning in due:
        times = person.warned.count(warning)
        must(person.id, times == 1 or times == 0 and warning[1] >= now,
             f"the warning of {warning[0]} at {clock(warning[1])} came {times} times")
    must(person.id, all(warning in due for warning in person.warned), "there was a warning of nothing")


# ---- the spending cap ---------------------------------------------------------------------------------------------


def stopped_at(act, at, zone, catalog, taking_minimum, keep=False, to_come=True):
    """What an account used and would use, as it was known when its cap acted, if all were stopped at a second [3.8].

    Gives the hourly uses [since, until, price, the grant may pay to, of a trial, an economical stop ends it, least], what blocks come to as
    (when, how much), and what orders owe that have made others go. `keep`: trials go on."""
    uses, blocks, owed, grant = [], [], 0, act["grant"]
    # What is no instance's is never stopped.
    for since, until, cost in [*act["flat"]["uses"], *(act["flat"]["to_come"] if to_come else ())]:
        uses.append([since if (since, until, cost) in act["flat"]["uses"] else max(since, act["open"]), until, cost, None, False, False, since])
    for life in act["lives"]:
        block, gone = life.option == "spot-block", life.end is not None
        reclaims = [n for n in life.notices if n[0] != "lease-end"]
        trial = life.option == "trial" and life.left_trial is None and not gone
        end = life.end
        if block and not gone and reclaims:
            end = reclaims[-1][2] // 1_000_000 + LATE
            end = end if reclaims[-1][0] in FREE_CAUSES else min(end, life.lease_end)
        elif block and not gone and life.start is not None:
            end = min(life.lease_end, max(at, life.start))
        least = life.took_since + taking_minimum if life.took_since is not None else 0
        for meter in METERS:
            stops = meter == "compute" and not block and not gone and not (keep and trial)
            for since, until, cost, flavor in life.used[meter]:
                if block and meter == "compute":
                    free = life.free_since
                    free_to = end if life.free_to is None else min(life.free_to, end)
                    free = max(free_to - max(free, since), 0) if free is not None else 0
                    blocks.append((end, cost * (max(end - since, 0) - free)))
                    continue
                ends = until is None and stops
                until = end if until is None else until if end is None else min(until, end)
                until = max(at, least, since) if ends else until
                may = listed(life, flavor, grant, catalog)
                to = None if not may else life.left_trial if life.left_trial is not None else grant["until"]
                of = ends or meter == "compute" and trial
                uses += [[a, b, p, to, trial, of, max(least, since)] for a, b, p in life.priced(meter, since, until, cost, flavor)]
        lost = bool(life.pauses) and life.pauses[-1][1] is None
        if to_come and not block and not gone and life.sold != "subscription" and (life.start is None or lost or life.frozen is not None):
            # It comes back into hours that are open.
            since = max(life.pauses[-1][0], act["open"]) if lost else life.bought_at // 1_000_000
            since = since if life.frozen is None else life.frozen  # its disk is charged again when it thaws
            to = grant["until"] if listed(life, life.now_flavor, grant, catalog) and life.left_trial is None else None
            uses += [[a, b, p, to, trial, False, since] for a, b, p in life.priced("system-disk", since, None, None, life.now_flavor)]
        if life.option == "subscription":
            # Its months are paid as soon as it runs.
            owed += life.price * life.terms["months"] * HOUR if to_come and life.start is None and not gone else 0
        elif not block and not gone and life.took_room and (life.start is None or life.power == "again" and not lost):
            owed += life.now_price * taking_minimum
    return uses, blocks, owed


def payable_by(act, at, month, zone, catalog):
    """What of a month was payable for the time before a second, as it was known then; a block with all that it has cost."""
    uses, blocks, _ = stopped_at(act, at, zone, catalog, 0)
    grant, hours = act["grant"], {}
    lives = {life.id: life for life in act["lives"]}
    total = sum(cost for end, cost in blocks if end >= month[0])
    # What has a lost host, or does not run yet, costs nothing.
    real = [[since, until, cost, life, use[3]] for life in lives.values() for meter in METERS for use in life.used[meter]
            if not (meter == "compute" and life.option == "spot-block") for since, until, cost in life.priced(meter, *use)]
    mine = []
    for since, until, cost, life, flavor in real:
        end = life.end
        if life.option == "spot-block" and life.end is None and life.start is not None:
            end = life.lease_end
            reclaims = [n for n in life.notices if n[0] != "lease-end"]
            if reclaims:
                end = reclaims[-1][2] // 1_000_000 + LATE
                end = end if reclaims[-1][0] in FREE_CAUSES else min(end, life.lease_end)
        until = min([at, *(one for one in (until, end) if one is not None)])
        may = listed(life, flavor, grant, catalog)
        to = None if not may else life.left_trial if life.left_trial is not None else grant["until"]
        if since < until:
            mine.append((since, until, cost, to))
    mine += [(since, at if until is None else min(until, at), cost, None) for since, until, cost in act["flat"]["uses"] if since < at]
    if grant:
        paid = [(max(a, grant["since"]), min(b, to, grant["until"]), p) for a, b, p, to in mine if to is not None]
        paid = [use for use in paid if use[0] < use[1]]
        left, back = grant["issued"], sorted(grant["back"])
        for hour in range(min((a for a, _, _ in paid), default=at) // HOUR * HOUR, at, HOUR):
            while back and back[0][0] <= hour:
                left += back.pop(0)[1]
            drawn = min(sum(p * max(min(b, hour + HOUR) - max(a, hour), 0) for a, b, p in paid), grant["cap"], left)
            hours[hour] = drawn
            left -= drawn
    total += sum(p * max(min(b, month[1]) - max(a, month[0]), 0) for a, b, p, _ in mine)
    total -= sum(paid for hour, paid in hours.items() if month[0] <= hour < month[1])
    paid = [(when, months * cost * HOUR) for life in act["lives"] for _, _, months, cost, when in life.months]
    return total + sum(cost for when, cost in paid if month[0] <= when < min(at, month[1]))


def check_budget(money, person, lives, flowed, zone, catalog, now, complain, flat):
    """Was each share of a budget told with the first second with so much, and each that was reached? Of the second nothing is said where
    traffic was payable, which comes in leaps, or a grant was taken. [4.3]"""

    def must(right, what):
        if not right:
            complain(person.id, what)

    def excused(month):
        leaps = any(flow.payable and month[0] <= flow.since < month[1] for flow in flowed)
        return leaps or any(month[0] <= taken < month[1] for taken in person.revoked_at)

    for told in person.shares:
        month = (told["month"], zone.next_month(told["month"]))
        at, share, budget = told["at"], told["share"], told["budget"]
        must(share != "expected" or amount(told["body"]["expected"]) * SHOWN > budget["amount"] - SHOWN, "no more than its budget was expected")
        if excused(month):
            continue
        if share == "expected":
            check_expected(told, person, money, month, zone, catalog, must)
            continue
        wanted = -(-budget["amount"] * share // 100)
        comes_to = payable_by(told, at, month, zone, catalog)
        must(comes_to >= wanted, f"{share} % of its budget were not payable at {clock(at)}")
        must(posted(comes_to) == amount(told["body"]["payable"]), f"another sum was payable at {clock(at)}: {posted(comes_to)}")
        # What was passed before anybody looked: when it was set, or when the hour began that is open.
        first = at in (budget["since"], month[0]) or at % HOUR == 0
        must(first or payable_by(told, at - 1, month, zone, catalog) < wanted, f"{share} % of its budget were payable before {clock(at)}")
    if person.budget and not person.gone:
        month = (zone.month(now), zone.next_month(now))
        there = {"lives": lives, "grant": person.grant, "at_end": person.at_end, "over": person.ended is not None, "open": 0, "flat": flat}
        payable = payable_by(there, now, month, zone, catalog)
        for share in person.budget["alerts"]:
            due = payable > -(-person.budget["amount"] * share // 100) and not excused(month)
            must(not due or (month[0], share) in person.told_of_budget, f"nobody was told of {share} % of the budget")


def check_expected(told, person, money, month, zone, catalog, must):
    """Would the month have come to so much, if all had gone on as it was? Where nothing waits for money, room or a host. [4.3]"""
    lives = [life for life in told["lives"] if life.end is None]
    unsure = told["capped"] or told["flat"]["to_come"] or any(
        life.renews or life.start is None or life.power in ("stopping away", "again") or life.pauses and life.pauses[-1][1] is None
        or any(n[0] != "lease-end" for n in life.notices) for life in lives)
    if unsure:
        return
    later = copy.copy(told)
    later["lives"] = [life for life in told["lives"]
                      if not (life.option == "spot-block" and life.end is None and life.lease_end >= month[1])]
    disks = [life for life in told["lives"] if life not in later["lives"]]
    total = month_comes_to(later, month[1], month, zone, catalog, 0)
    for life in disks:
        total += sum(cost * max(min(until or life.lease_end, month[1]) - max(since, month[0]), 0) for since, until, cost, _ in life.used["system-disk"])
    # Who will owe may be frozen, and costs less then.
    owes = money.purse(told["place"]) * SHOWN < total or any(
        owing["place"] < told["place"] and (owing["cleared"] is None or owing["cleared"] >= told["now"]) for owing in person.arrears)
    said = amount(told["body"]["expected"])
    must(said == posted(total) or owes and said < posted(total), f"by the rules {posted(total)} were expected of its month")


def paid_ahead(lives, month):
    """What was paid in a month for months of subscriptions [4.3]."""
    paid = [(when, months * cost * HOUR) for life in lives for _, _, months, cost, when in life.months]
    return sum(cost for when, cost in paid if month[0] <= when < month[1])


def month_comes_to(act, at, month, zone, catalog, taking_minimum, keep=False):
    """What is payable in a month if all is stopped at a second, and what is not goes on to the month's end [3.8]."""
    uses, blocks, owed = stopped_at(act, at, zone, catalog, taking_minimum, keep)
    since, until = month
    uses = [[a, until if b is None else min(b, until), *rest] for a, b, *rest in uses]
    total = owed + sum(cost for end, cost in blocks if end >= since) + paid_ahead(act["lives"], month)
    return total + not_granted(act, uses, since, until)


def not_granted(act, uses, since, until):
    """What of these uses is payable in a time: all that no grant pays [3.3, 3.8]."""
    total, grant, hours = 0, act["grant"], {}
    if grant:
        paid = [(max(a, grant["since"]), min(b, to, grant["until"]), p) for a, b, p, to, *_ in uses if to is not None]
        paid = [use for use in paid if use[0] < use[1]]
        left, over = grant["issued"], None

        def drawn(start, to):
            return min(sum(p * max(min(b, to) - max(a, start), 0) for a, b, p in paid), grant["cap"])

        first = min((a for a, _, _ in paid), default=until) // HOUR * HOUR
        back = sorted(grant["back"])
        for hour in range(first, until, HOUR):
            while back and back[0][0] <= hour:
                left += back.pop(0)[1]
            whole = drawn(hour, hour + HOUR)
            if whole > left and act["at_end"] != "continue" and not act["over"]:
                low, high = hour, hour + HOUR
                while high - low > 1:
                    middle = (low + high) // 2
                    low, high = (middle, high) if drawn(hour, middle) <= left else (low, middle)
                over, hours[hour] = low, drawn(hour, low)
                break
            hours[hour] = min(whole, left)
            left -= hours[hour]
        if act["at_end"] != "continue" and not act["over"]:
            over = grant["until"] if over is None else over
            for use in uses:
                if use[4] and (act["at_end"] == "release" or use[5]):
                    use[1] = min(use[1], max(over, use[6]))
    total += sum(p * max(min(b, until) - max(a, since), 0) for a, b, p, *_ in uses)
    return total - sum(paid for hour, paid in hours.items() if since <= hour < until)


def owed_at(act, at, zone, catalog, taking_minimum):
    """What an account would owe, to the last digit, if it were frozen at a second, by all that was known when it was [5.2]."""
    uses, blocks, owed = stopped_at(act, at, zone, catalog, taking_minimum, to_come=False)
    uses = [[a, max(at, use[-1]) if b is None else min(b, max(at, use[-1])), *use] for a, b, *use in uses]
    until = max([at] + [b for _, b, *_ in uses])
    paid = paid_ahead(act["lives"], (0, 1 << 60))
    return owed + sum(cost for _, cost in blocks) + paid + not_granted(act, uses, 0, until) - act["paid_in"] * SHOWN


def check_arrears(person, lives, mine, flowed, zone, catalog, taking_minimum, now, complain):
    """Did arrears begin and end with a settlement and a top-up, was the account frozen at the last second that it had, on everything,
    was nothing charged while it was, and did all go when it had to? [5.2]"""

    def must(thing, right, what):
        if not right:
            complain(thing, what)

    # Everything that moved the debt, in the order of the log: (place, second, paid, time, traffic).
    moves = [(place, None, units, 0, 0) for place, units in person.top_ups]
    moves += [(place, None, amount(body["back"]["cash"]) + amount(body["back"]["debt"]), 0, 0) for place, _, body in person.given_back]
    moves += [(place_of(p, person) or "", p.settled_at, 0, p.cash, 0) for p in mine if p.settled_at is not None]
    moves += [(person.closes.get(f.hour_end) or "", f.hour_end, 0, 0, f.cash) for f in flowed if f.hour_end <= now]
    paid = time = traffic = 0
    owes, begun, cleared = False, [], []
    for place in sorted({move[0] for move in moves}):
        here = [move for move in moves if move[0] == place]
        paid, time, traffic = (total + sum(move[n] for move in here) for total, n in ((paid, 2), (time, 3), (traffic, 4)))
        debt = posted(time) + posted_traffic(traffic) - paid
        if (debt > 0) != owes:
            owes = debt > 0
            (begun if owes else cleared).append((place, here[0][1], debt))
    told = [(owing["place"], owing["since"], owing["debt"]) for owing in person.arrears]
    must(person.id, len(begun) == len(told), f"arrears began {len(told)} times in the log, by the rules {len(begun)} times")
    for (place, at, debt), (told_at, since, told_debt) in zip(begun, told):
        late = since > at and since % HOUR == 0  # of an hour that was open when it was heard
        must(person.id, place < told_at and debt == told_debt and (since == at or late), f"arrears began at {clock(since)}, by the rules at {clock(at)}")
    ends = [owing["cleared"] for owing in person.arrears if owing["cleared"] is not None]
    must(person.id, len(ends) == len(cleared), f"arrears ended {len(ends)} times in the log, by the rules {len(cleared)} times")
    if person.owing:
        step = person.owing["until"] if person.owing["frozen"] is None else person.owing["release"]
        must(person.id, step + 1 >= now or person.owing["released"] is not None, f"a step of its arrears was due at {clock(step)}")
    for owing in (owing for owing in person.arrears if owing["frozen"] is not None):
        at, limit = owing["frozen"], amount(catalog["arrears_debt_limit"]) * SHOWN
        # The limit is reckoned as if no voucher paid, and without what is given back.
        excused = owing["revoked"] or any(flow.payable for flow in flowed) or any(life.cut for life in lives)
        excused = excused or person.given_back or any(p.by_vouchers for p in mine)

        def comes_to(when, owing=owing):
            return owed_at(owing, when, zone, catalog, taking_minimum)

        if owing["by"] == "grace":
            must(person.id, at == owing["until"], "it was frozen before its grace was over, and no limit was passed")
        else:
            must(person.id, at < owing["until"] and (excused or comes_to(at + 1) > limit), "it was frozen, and the limit allowed a second more")
        must(person.id, excused or comes_to(at) <= limit or at == owing["since"] or at % HOUR == 0, "it was frozen, and the limit was passed already")
        last = owing["cleared"] if owing["cleared"] is not None else now
        for days in catalog["arrears_warn_days_before"]:
            word = owing["release"] - days * DAY
            must(person.id, not at < word <= last or min(owing["told_of_end"], default=1000) <= days, f"it was not told {days} days before its release")
        for was in owing["lives"]:
            life = next(life for life in lives if life.id == was.id)
            if was.end is not None or was.sold == "subscription" or was.option == "spot-block" and any(n[0] != "lease-end" for n in was.notices):
                continue
            if was.start is None:
                must(life.id, was.took_room or life.end is not None or last <= owing["frozen"] + taking_minimum, "the freeze left an order alone")
            if was.option == "spot-block":
                must(life.id, life.end is not None and life.end <= max(at, life.start or at), "the freeze left a block alone")
            for meter in METERS:
                for since, until, _, _ in life.uses(meter, now) if life.start is not None else ():
                    least = since + taking_minimum if life.took_room or was.took_room else 0
                    least = max(least, was.took_since + taking_minimum if was.took_since is not None else 0)
                    charged = min(until, last) - max(since, at, min(least, last))
                    must(life.id, charged <= 0, "it is charged while its account is frozen")
        for piece in (p for p in mine if p.meter == "bandwidth"):
            kept = piece.life.id in owing.get("runs_on", ())
            must(piece.life.id, kept or min(piece.until, last) <= max(piece.since, at), "its bandwidth is charged while its account is frozen")
        for life in owing.get("held", ()):
            must(life.id, life.end is not None and life.end <= owing["release"], "it should have been released with all that was frozen")
    for act in person.limits:
        at, limit = act["at"], amount(catalog["arrears_debt_limit"]) * SHOWN
        excused = act["revoked"] or person.given_back or any(flow.payable for flow in flowed) or any(p.by_vouchers for p in mine)
        must(person.id, excused or owed_at(act, at, zone, catalog, taking_minimum) > limit, "its blocks went, and the limit allowed more")
        must(person.id, excused or owed_at(act, at - HOUR, zone, catalog, taking_minimum) <= limit, "its blocks went an hour late")
        for was in act["lives"]:
            life = next(life for life in lives if life.id == was.id)
            must(life.id, life.limited_at != at or life.cause in ("arrears", "lease-end"), "the debt limit left a block alone")


def check_cap(person, lives, mine, flowed, zone, catalog, taking_minimum, now, complain):
    """Did the spending cap act at the last second that it allowed, on everything, and was it never passed? Of the second nothing is said
    where traffic was payable, which comes in leaps. [3.8]"""

    def must(thing, right, what):
        if not right:
            complain(thing, what)

    for act in (act for act in person.acts if act["cap"] is not None):  # of any other it was said already
        at, cap = act["at"], act["cap"]
        month = (zone.month(at), zone.next_month(at))
        later = (month[1], zone.next_month(month[1]))

        def comes_to(when, month=month, keep=False):
            return month_comes_to(act, when, month, zone, catalog, taking_minimum, keep)

        excused = any(month[0] <= taken < month[1] for taken in person.revoked_at)
        excused = excused or any(flow.payable and month[0] <= flow.since < month[1] for flow in flowed)
        must(person.id, excused or comes_to(at) <= cap, f"the cap acted at {clock(at)}, and it was passed already")
        last = comes_to(at + 1) > cap or at + 1 == month[1] and comes_to(month[1], later) > cap
        must(person.id, excused or last, f"the cap acted at {clock(at)}, and it allowed a second more")
        trials_too = comes_to(at, keep=True) > cap
        for was in act["lives"]:
            life = next(life for life in lives if life.id == was.id)
            least = was.took_since + taking_minimum if was.took_since is not None else 0
            if was.end is not None or was.sold == "subscription" or was.option == "trial" and was.left_trial is None and not trials_too:
                continue
            if was.option == "spot-block" and not any(n[0] != "lease-end" for n in was.notices):
                must(life.id, life.end is not None and (life.start is None or life.end <= max(at, life.start)), "the cap left a block alone")
            elif was.start is None and was.option != "spot-block":
                must(life.id, was.took_room or life.cause == "never-ran", "the cap left an order alone")
            elif was.option != "spot-block" and least <= act["now"] and was.used["compute"] and was.used["compute"][-1][1] is None:
                use = life.used["compute"][len(was.used["compute"]) - 1]
                until = use[1] if life.end is None else min(use[1] or life.end, life.end)
                must(life.id, until is not None and until <= max(at, least, use[0]), "the cap did not stop it")
    for since, until in zone.months(person.caps[0][0], now) if person.caps else []:
        cap = [cap for when, cap in person.caps if when < until][-1]
        hourly = [p for p in mine if p.months is None and since <= p.since < until and not (p.meter == "compute" and p.life.option == "spot-block")]
        blocks = [p for p in mine if p.meter == "compute" and p.life.option == "spot-block"
                  and since <= (min(p.life.end, now) if p.life.end is not None else now) < until]
        excused = any(since <= taken < until for taken in person.revoked_at)
        payable = sum(p.payable for p in hourly + blocks) + paid_ahead(lives, (since, until))
        must(person.id, cap is None or excused or payable <= cap,
             f"{posted(payable)} are payable in the month since {clock(since)}, and the cap is {posted(cap or 0)}")


# ---- what it costs ----------------------------------------------------------------------------------------------


class Zone:
    """Where the catalog's day begins [1.4]."""

    def __init__(self, name):
        self.zone, self.known, self.starts = ZoneInfo(name), {}, {}

    def date(self, at):
        return datetime.fromtimestamp(at, self.zone).date()

    def plus_months(self, at, months):
        """The same clock time so many months later, at the latest on the month's last day."""
        local = datetime.fromtimestamp(at, self.zone)
        year, month = divmod(local.year * 12 + local.month - 1 + months, 12)
        first_after = datetime(year + (month == 11), (month + 1) % 12 + 1, 1)
        day = min(local.day, (first_after - timedelta(days=1)).day)
        return int(local.replace(year=year, month=month + 1, day=day, fold=0).timestamp())

    def day_start(self, at):
        day = self.date(at)
        if day not in self.starts:
            low, high = at - 2 * 86_400, at
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if self.date(middle) == day else (middle, high)
            self.starts[day] = high if self.date(high) == day else high + 1
        return self.starts[day]

    def month(self, at):
        """The first second of the calendar month [3.6]."""
        start = self.day_start(at)
        while self.date(start).day != 1:
            start = self.day_start(start - 1)
        return start

    def stretch(self, read):
        """The hour that a reading speaks of, or its part on one side of midnight: the seconds before the reading's own [3.6]."""
        last = read - 1
        return max(last // HOUR * HOUR, self.day_start(last)), self.next_cut(last)

    def next_midnight(self, at):
        day = self.date(at)
        if day not in self.known:
            low, high = at, at + 2 * 86_400
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if self.date(middle) > day else (middle, high)
            self.known[day] = high
        return self.known[day]

    def next_month(self, at):
        return self.month(self.month(at) + 31 * DAY + HOUR)

    def months(self, since, until):
        since = self.month(since)
        while since <= until:
            yield since, self.next_month(since)
            since = self.next_month(since)

    def next_cut(self, at):
        return min((at // HOUR + 1) * HOUR, self.next_midnight(at))


@dataclass
class Piece:
    """What one record should say."""

    life: Life
    meter: str
    price: int
    since: int
    until: int
    reason: str
    covered: bool
    settled_at: int = None
    grant: int = 0
    months: int = None  # its quantity, where it was paid in advance
    paid: list = field(default_factory=list)  # by vouchers: which, and how much

    @property
    def gross(self):
        if self.months is not None:
            return self.price * self.months * HOUR
        return self.price * (self.until - self.since)

    @property
    def waived(self):
        return self.gross if self.reason else 0

    @property
    def payable(self):
        return self.gross - self.waived - self.grant

    @property
    def owed(self):
        """What vouchers may pay of it."""
        return self.payable

    @property
    def by_vouchers(self):
        return sum(fine for _, fine in self.paid) // FINE_TIME

    @property
    def cash(self):
        """What is paid in cash, or owed."""
        return self.payable - self.by_vouchers


@dataclass
class Flow:
    """What one record of traffic should say, in millionths of a GB."""

    address: Address
    price: int  # of the hour
    since: int
    until: int
    hour_end: int
    quantity: int = 0
    covered: int = 0
    anywhere: int = 0
    overseas: int = 0
    paid: list = field(default_factory=list)  # by vouchers: which, and how much

    @property
    def payable(self):
        return self.quantity - self.anywhere - self.overseas

    @property
    def owed(self):
        return self.payable * self.price

    @property
    def by_vouchers(self):
        return sum(fine for _, fine in self.paid) // FINE_TRAFFIC

    @property
    def cash(self):
        return self.owed - self.by_vouchers


def flows(addresses, zone, catalog, book):
    """All traffic of an account, hour by hour, with what the pools pay: mainland first, then by address [3.6]."""
    found = {}
    for address in addresses:
        month, total = None, 0
        for read, count, covered in address.readings:
            since, until = zone.stretch(read)
            if zone.month(since) != month:
                month, total = zone.month(since), 0
            key = (since, address.overseas, address.id)
            flow = found.setdefault(key, Flow(address, book.at(address.item, since), since, until, (since // HOUR + 1) * HOUR))
            # Only the month's running total is floored.
            more = (total + count) // 1000 - total // 1000
            total += count
            flow.quantity += more
            flow.covered += more * covered
    left = {}
    for key in sorted(found):
        flow = found[key]
        pools = left.setdefault(zone.month(flow.since), {p: catalog.get(f"trial_traffic_{p}_gb", 0) * GB_PARTS for p in POOLS})
        flow.overseas = min(flow.covered, pools["overseas"]) if flow.address.overseas else 0
        flow.anywhere = min(flow.covered - flow.overseas, pools["anywhere"])
        pools["overseas"] -= flow.overseas
        pools["anywhere"] -= flow.anywhere
    return [found[key] for key in sorted(found)]


def listed(life, flavor, grant, catalog):
    """Whether the grant's list has a flavor where the instance is [3.3]."""
    zone = next((z for z in catalog["zones"] if z["id"] == life.zone), None)
    terms = next((t for t in catalog["trials"] if grant and t["holder"] == grant["holder"]), None)
    if life.option != "trial" or zone is None or terms is None or not zone["trial"]:
        return False
    return flavor in terms["flavors_in"].get(zone["region"], terms["flavors"])


def stretches(life, meter, grant, catalog, now):
    """Its uses of one thing: since, until, price, whether a grant may pay. A disk whose coverage stays the same is not cut by a resize."""
    together, uses = [], []
    for since, until, cost, flavor in life.uses(meter, now):
        left = life.left_trial
        parts = [(since, until)] if left is None or not since < left < until else [(since, left), (left, until)]
        uses.extend((a, b, cost, flavor) for a, b in parts)
    was = None
    for since, until, cost, flavor in uses:
        on_list = listed(life, flavor, grant, catalog)
        # The catalog has the newest list; until one changed, the flavor was on it or was not.
        on_list = next((not covered for changed, of, covered in life.lists if since < changed and of == flavor), on_list)
        may = on_list and (life.left_trial is None or since < life.left_trial)
        same = may == together[-1][3] and (on_list == was or since in life.uncovered) if together else False
        was = on_list
        if meter == "system-disk" and same and together[-1][1:3] == [since, cost]:
            together[-1][1] = until
        else:
            together.append([since, until, cost, may])
    return together


def pieces(life, grant, zone, catalog, now):
    """All of an instance's use, cut where a record is cut [1.1, 2.4, 3.3]; `settled_at` says since when it is billed."""
    if life.start is None:
        return
    block = life.option == "spot-block"
    for since, until, months, cost, paid_at in life.months:
        yield Piece(life, "subscription", cost, since, until, None, False, settled_at=paid_at, months=months)
    for meter in METERS:
        whole = meter == "compute" and block
        uses = stretches(life, meter, grant, catalog, now)
        since = end = cost = may = None
        while since != end or uses:
            if since == end:
                since, end, cost, may = uses.pop(0)
                continue
            until = min(end, zone.next_cut(since))
            marks = [grant["since"], grant["until"]] if may and grant else []
            marks = [mark for mark in marks if life.left_trial is None or mark <= life.left_trial]
            marks.extend([] if life.left_trial is None else [life.left_trial])
            if whole:
                marks.append(life.period_start(since) + life.period)
            if whole and life.free_since is not None:
                marks.append(life.free_since)
                marks.extend([] if life.free_to is None else [life.free_to])
            until = min([until] + [mark for mark in marks if mark > since])
            free = whole and life.free_since is not None and since >= life.free_since
            free = free and (life.free_to is None or since < life.free_to)
            covered = bool(may and grant and grant["since"] <= since < grant["until"])
            covered = covered and (life.left_trial is None or since < life.left_trial)
            piece = Piece(life, meter, cost, since, until, life.free_for if free else None, covered)
            if whole:
                piece.settled_at = None if life.released is None else life.released // 1_000_000
            else:
                closes = (since // HOUR + 1) * HOUR
                piece.settled_at = closes if closes <= now else None
            yield piece
            since = until


def band_pieces(address, zone, book, now):
    """All that its bandwidth was used, cut at clock hours, midnight and prices [1.1, 4.4]."""
    for since, until, cost in address.costs(book):
        until = now if until is None else min(until, now)
        while since < until:
            cut, closes = min(until, zone.next_cut(since)), (since // HOUR + 1) * HOUR
            yield Piece(address, "bandwidth", cost, since, cut, None, False, settled_at=closes if closes <= now else None)
            since = cut


def flat_pieces(volume, person, zone, book, now):
    """The same of what is no instance's, which no grant pays [3.3]."""
    for since, until, cost in volume.uses(book):
        until = now if until is None else min(until, now)
        while since < until:
            end, closes = min(until, zone.next_cut(since)), (since // HOUR + 1) * HOUR
            yield Piece(volume, volume.item, cost, since, end, None, False, settled_at=closes if closes <= now else None)
            since = end


def deduct(all_pieces, grant):
    """Lets the grant pay, hour by hour: min(covered charges, cap, what is left), oldest instance first [3.3]."""
    hours, left = {}, grant["issued"]
    for piece in all_pieces:
        if piece.covered:
            hours.setdefault(piece.since // HOUR, []).append(piece)
    back = sorted(grant["back"])
    for hour in sorted(hours):
        while back and back[0][0] <= hour * HOUR:
            left += back.pop(0)[1]
        room = min(grant["cap"], left)
        for piece in sorted(hours[hour], key=lambda p: (p.life.order, METERS.index(p.meter), p.since)):
            piece.grant = min(piece.gross, room)
            room -= piece.grant
            left -= piece.grant


# ---- the comparison ---------------------------------------------------------------------------------------------


def by_vouchers(record):
    return [(one["voucher"], amount(one["amount"])) for one in record.get("vouchers", [])]


def compare_records(wanted, shown, complain, issued):
    """Both ways: nothing missing, nothing invented, nothing different."""
    found = {}
    for record in shown:
        key = (record["resource"], record["meter"], second(record["since"]))
        if key in found:
            complain(key[0], f"two records of {key[1]} begin at {record['since']}")
        found[key] = record
    for piece in sorted(wanted, key=lambda p: (p.since, p.life.order, ORDER.index(p.meter))):
        record = found.pop((piece.life.id, piece.meter, piece.since), None)
        where = f"{piece.meter} since {clock(piece.since)}"
        if record is None:
            complain(piece.life.id, f"{where}: the record is missing" if issued else f"{where}: it does not accrue")
            continue
        says = {
            "until": (second(record["until"]), piece.until),
            "seconds": (record["seconds"], piece.until - piece.since),
            "months": (record.get("months"), piece.months),
            "price": (price(record["price"]), piece.price),
            "waived": (amount(record["waived"]), posted(piece.waived)),
            "grant": (amount(record["grant"]), posted(piece.grant)),
            "covered": (amount(record["covered"]), posted(piece.gross - piece.waived if piece.covered else 0)),
            "amount": (amount(record["amount"]), posted(piece.payable)),
            "reason": (record.get("reason"), piece.reason),
            "vouchers": (by_vouchers(record), [(voucher, posted_fine(fine)) for voucher, fine in piece.paid]),
        }
        if issued:
            says["issued_at"] = (second(record["issued_at"]), piece.settled_at)
        for name, (is_, should) in says.items():
            if is_ != should:
                complain(piece.life.id, f"{where}: {name} is {is_}, by the rules {should}")
    for (instance, meter, since), _ in sorted(found.items(), key=lambda item: item[0][2]):
        complain(instance, f"{meter} since {clock(since)}: nothing in the log makes this record")


def compare_traffic(wanted, shown, complain, issued):
    """Both ways, as of the other records."""
    found = {}
    for record in shown:
        key = (record["address"], second(record["since"]))
        if key in found:
            complain(key[0], f"two records of traffic begin at {record['since']}")
        found[key] = record
    for flow in wanted:
        record = found.pop((flow.address.id, flow.since), None)
        where = f"traffic since {clock(flow.since)}"
        if record is None:
            complain(flow.address.id, f"{where}: the record is missing")
            continue
        says = {
            "until": (second(record["until"]), flow.until),
            "quantity": (decimal(record["quantity"], 6), flow.quantity),
            "price": (price(record["price"]), flow.price),
            "anywhere": (decimal(record["anywhere"], 6), flow.anywhere),
            "overseas": (decimal(record["overseas"], 6), flow.overseas),
            "payable": (decimal(record["payable"], 6), flow.payable),
            "amount": (amount(record["amount"]), posted_traffic(flow.payable * flow.price)),
            "vouchers": (by_vouchers(record), [(voucher, posted_fine(fine)) for voucher, fine in flow.paid]),
        }
        if issued:
            says["issued_at"] = (second(record["issued_at"]), flow.hour_end)
        for name, (is_, should) in says.items():
            if is_ != should:
                complain(flow.address.id, f"{where}: {name} is {is_}, by the rules {should}")
    for (address, since), _ in sorted(found.items()):
        complain(address, f"traffic since {clock(since)}: nothing in the log makes this record")


def check_pools(person, shown, flowed, zone, catalog, now, complain):
    """Are the two figures of traffic what is left of this month's pools? [3.9]"""
    month, grant = zone.month(now), person.grant
    if second(shown["month"]) != month:
        complain(person.id, f"the month of traffic began at {clock(month)}, not at {shown['month']}")
    for pool in POOLS:
        mine = [flow for flow in flowed if zone.month(flow.since) == month]
        settled = sum(getattr(flow, pool) for flow in mine if flow.hour_end <= now)
        used, size = sum(getattr(flow, pool) for flow in mine), catalog[f"trial_traffic_{pool}_gb"] * GB_PARTS
        valid = grant["since"] <= now < grant["until"]
        wanted = {"size": size, "settled": settled, "accruing": used - settled, "used": used, "left": (size - used) * valid}
        for name, should in wanted.items():
            if decimal(shown[pool][name], 6) != should:
                complain(person.id, f"traffic {pool}: {name} is {shown[pool][name]}, by the rules {should} millionths")


def check_addresses(log, person, shown, zone, now, complain):
    """Are those there that the log left, and what left them this month?"""
    mine = {a.id: a for a in log.addresses.values() if a.account == person.id and not a.released}
    if sorted(mine) != sorted(one["id"] for one in shown):
        complain(person.id, "the public addresses are not those of the log")
    for one in shown:
        known = mine.get(one["id"])
        if known is None:
            continue
        frozen = person.owing and person.owing["frozen"] is not None
        life = log.lives.get(known.instance)
        charged, begun = known.is_charged, life is None or life.start is not None or known.bought_with != life.id
        frozen = frozen and not (life and life.sold == "subscription" and life.end is None)
        if (one.get("ip"), one.get("mbit")) != (known.ip, known.mbit):
            complain(one["id"], "it is another address than in the log, or paid otherwise")
        if bool(charged) != bool(known.mbit is not None and not frozen and begun):
            complain(one["id"], "its bandwidth is not charged, or is charged and should not be")
        month = sum(count for read, count, _ in known.readings if zone.month(read - 1) == zone.month(now))
        if one["bytes_this_month"] != month or one.get("instance") != known.instance:
            complain(one["id"], f"{one['bytes_this_month']} bytes left it this month, by the log {month}; or it leads elsewhere")


def check_whole(life, all_pieces, shown, complain):
    """Do the records of a life lie end to end, from its first second to its last? [1.1, architecture 6]"""
    for meter in METERS:
        mine = sorted((second(r["since"]), second(r["until"])) for r in shown if r["meter"] == meter)
        used = [p for p in all_pieces if p.life is life and p.meter == meter and p.settled_at is not None]
        if not mine and not used:
            continue
        # But where it was lost, or stopped economically.
        gaps = {(a.until, b.since) for a, b in zip(used, used[1:])}
        joints = all(a[1] == b[0] or (a[1], b[0]) in gaps for a, b in zip(mine, mine[1:]))
        ends = bool(mine and used) and mine[0][0] == used[0].since and mine[-1][1] == max(p.until for p in used)
        if not (joints and ends):
            complain(life.id, f"the records of {meter} do not lie end to end over its life")


def check_books(log, person, books, mine, lives, now, complain, flowed, closed):
    """Are the totals, the balance and the grant what the records come to? [1.2, 5.1, 5.2]"""
    settled = [p for p in mine if p.settled_at is not None]
    open_ = [p for p in mine if p.settled_at is None]

    def equal(what, text, exact):
        if amount(text) != exact:
            complain(person.id, f"{what} is {text}, by the rules {exact // 10**8}.{exact % 10**8:08}")

    open_flows = [flow for flow in flowed if flow.hour_end > now]

    def sent(of, what):
        return posted_traffic(sum(what(flow) * flow.price for flow in of))

    def parts(what, shown, of, traffic):
        # Time and traffic have exact units of their own; what was posted of each is added up.
        owed = sent(traffic, lambda flow: flow.payable)
        for name in ("waived", "grant", "payable"):
            equal(f"{what} {name}", shown[name], posted(sum(getattr(p, name) for p in of)) + owed * (name == "payable"))
        flowing = shown.get("traffic", {"pools": "0", "payable": "0"})
        equal(f"{what} traffic", flowing["payable"], owed)
        equal(f"{what} free traffic", flowing["pools"], sent(traffic, lambda flow: flow.anywhere + flow.overseas))
        # Of what is payable, all that is not paid in cash.
        payable, cash = posted(sum(p.payable for p in of)) + owed, posted(sum(p.cash for p in of)) + posted_traffic(sum(f.cash for f in traffic))
        equal(f"{what} by vouchers", shown.get("vouchers", "0"), payable - cash)

    balance, bill, trial = books["balance"], books["bill"], books["trial"]
    for place, settled_parts, open_parts in (
        ("balance", balance["settled"], balance["accruing"]),
        ("bill", bill["settled_total"], bill["accruing_total"]),
    ):
        parts(f"{place}: settled", settled_parts, settled, closed)
        parts(f"{place}: accruing", open_parts, open_, open_flows)
    # What is payable takes cash first, a top-up pays debt first: never both, whatever the order.
    back = {name: sum(amount(body["back"][name]) for _, _, body in person.given_back)
            for name in BACK}
    purse = person.paid_in - posted(sum(p.cash for p in settled)) - posted_traffic(sum(flow.cash for flow in closed))
    purse += back["debt"] + back["cash"]
    to = [one for _, _, body in person.given_back for one in body["back"].get("vouchers", [])]
    of_vouchers = {"vouchers": sum(amount(one["amount"]) for one in to if not one.get("gone"))}
    of_vouchers["vouchers_gone"] = sum(amount(one["amount"]) for one in to if one.get("gone"))
    for name, units in (back | of_vouchers).items():
        equal(f"given back: {name}", balance.get("adjusted", dict.fromkeys(back | of_vouchers, "0"))[name], units)
    equal("cash", balance["cash"], max(purse, 0))
    equal("debt", balance["debt"], max(-purse, 0))
    holds = [(life, *hold(life, settled, log.catalog)) for life in lives]
    equal("held", balance["held"], sum(one[1] for one in holds))
    mine_ = [v for v in log.vouchers.values() if v.account == person.id]
    needed = needed_in_cash(mine_, [one for one in holds if one[1]], now, log.catalog)
    equal("available", balance["available"], max(purse, 0) - needed)
    left = sum(v.left for v in mine_ if v.valid(now) and not v.over and v.left >= FINE_TIME)
    equal("vouchers", balance["vouchers"], posted_fine(left))
    if (trial is None) != (person.grant is None):
        return complain(person.id, "a grant is shown without a claim, or claimed and not shown")
    if trial:
        paid, running = sum(p.grant for p in settled), sum(p.grant for p in open_)
        used = paid - (back["grant"] + back["expired"]) * SHOWN
        equal("grant: issued", trial["issued"], posted(person.grant["issued"]))
        equal("grant: settled", trial["settled"], posted(used))
        equal("grant: accruing", trial["accruing"], posted(running))
        equal("grant: revoked", trial["revoked"], posted(person.grant["revoked"]))
        # What is left when the hour of its end is closed is gone [3.8].
        end, left = person.grant["until"], person.grant["issued"] - person.grant["revoked"] - used
        # All that is left is taken, in whole units; an end that is found to have been earlier may bring some back.
        cut = any(life.cut for life in lives) or any(act["at"] < end <= act["now"] for act in person.acts) or person.brought_back
        late = person.back() - person.back(person.revoked_place) + back["expired"] * SHOWN
        if person.grant["revoked"] and not 0 <= left - late - running < SHOWN and not cut:
            complain(person.id, "what was taken of the grant is not what was left of it")
        # What is issued at a release waits for no hour.
        begun = [p.since for p in open_ if p.meter != "compute" or p.life.option != "spot-block"] + [flow.since for flow in open_flows]
        hour_closed = end <= now and not any(since // HOUR * HOUR < end for since in begun)
        gone = left if (person.ended or person.gone) and hour_closed else 0
        if gone and amount(trial["expired"]) == 0 and end // HOUR == now // HOUR:
            gone = 0  # the hour was opened by something that took no second of it
        equal("grant: expired", trial["expired"], posted(gone))
        # What came back to it later was gone at once, and nobody is told.
        expired = posted(left + used) - posted(used) - back["expired"] if gone else 0
        if (person.expired or 0) != expired:
            complain(person.id, f"{person.expired} of the grant expired, by the rules {expired}")
        equal("grant: left", trial["left"], posted(left - running - gone))


def hold(life, settled, catalog):
    """Unbound money that a purchase ties up: one hour, one whole period, or all months of an order; a trial nothing [5.2]. How much, since
    when, for how long, and whether for months."""
    if life.option == "subscription" and not life.months and life.released is None:
        return ordered(life, catalog)
    if life.sold == "subscription" or life.released is not None or life.waits and life.cause == "never-ran":
        return 0, 0, 0, False
    if life.option == "trial" and life.converted is None:
        return 0, 0, 0, False
    if life.option == "spot-block":
        return posted((life.price + life.disk_price) * life.period), life.bought_at // 1_000_000, life.period, False
    since, cost = (life.bought_at // 1_000_000, life.price + life.disk_price)
    if life.converted is not None:
        since, cost = life.converted, life.hold_price
    first_hour = any(p.life is life and p.meter == "compute" and p.until > since for p in settled)
    return (0, 0, 0, False) if first_hour else (posted(cost * HOUR), since, HOUR, False)


class Enough(Exception):
    """Something is wrong, and nobody wants to know what else is."""


def check(dump, first=False):
    """Everything that is wrong with a dump, in words: (which thing, what). Looks no further than to the first if only that is wanted."""
    found = []

    def complain(thing, what):
        found.append((thing, what))
        if first:
            raise Enough

    zone = Zone(dump["catalog"]["time_zone"])
    log = Log(dump, zone, complain)
    for account in sorted(set(log.people) ^ {books["account"]["id"] for books in dump["accounts"]}):
        complain(account, "it is in the log or in the books, but not in both")
    for books in dump["accounts"]:
        person = log.people.get(books["account"]["id"])
        if person is None:
            continue
        now = second(books["bill"]["as_of"])
        lives = [life for life in log.lives.values() if life.account == person.id]
        mine = [piece for life in lives for piece in pieces(life, person.grant, zone, dump["catalog"], now)]
        there = [a for a in log.addresses.values() if a.account == person.id]
        mine += [piece for address in there for piece in band_pieces(address, zone, log.book, now)]
        volumes = [volume for volume in log.volumes.values() if volume.account == person.id]
        mine += [piece for volume in volumes for piece in flat_pieces(volume, person, zone, log.book, now)]
        if person.grant:
            deduct(mine, person.grant)
        flowed = flows([a for a in log.addresses.values() if a.account == person.id], zone, dump["catalog"], log.book)
        check_vouchers(log, person, mine, flowed, books["bill"], now, complain)
        compare_vouchers(log, person, books["vouchers"], complain)
        for life in lives:
            check_life(life, log.taking_minimum, complain)
            check_months(life, dump["catalog"], now, complain)
            check_terms(life, person.grant, dump["catalog"], log.book, complain)
            if not log.is_priced(life, now) and not log.is_priced(life, now - 1):
                complain(life.id, "it was not told what it costs since its price changed")
            check_whole(life, mine, [r for r in books["bill"]["records"] if r["resource"] == life.id], complain)
        compare_records([p for p in mine if p.settled_at is not None], books["bill"]["records"], complain, True)
        compare_records([p for p in mine if p.settled_at is None], books["bill"]["accruing"], complain, False)
        hourly = {p.settled_at for p in mine if p.settled_at and p.months is None and not (p.meter == "compute" and p.life.option == "spot-block")}
        closed = [flow for flow in flowed if flow.hour_end <= now]
        money = Money(log, person, lives, mine, closed)
        check_money(money, person, lives, mine, closed, books["bill"], complain)
        flowing = [flow for flow in flowed if flow.hour_end > now]
        for which, wanted, name in (("traffic", closed, True), ("traffic_accruing", flowing, False)):
            compare_traffic([flow for flow in wanted if flow.quantity], books["bill"].get(which, []), complain, name)
        hourly |= {flow.hour_end for flow in closed if flow.quantity}
        check_addresses(log, person, books["addresses"], zone, now, complain)
        if books["trial"] and person.grant:
            check_pools(person, books["trial"]["traffic"], flowed, zone, dump["catalog"], now, complain)
        if sorted(hourly) != [until for _, until in person.closed]:
            complain(person.id, "the closed hours in the log are not those in which something was used")
        check_books(log, person, books, mine, lives, now, complain, flowed, closed)
        check_arrears(person, lives, mine, flowed, zone, dump["catalog"], log.taking_minimum, now, complain)
        check_budget(money, person, lives, flowed, zone, dump["catalog"], now, complain, log.flat(person))
        check_cap(person, lives, mine, flowed, zone, dump["catalog"], log.taking_minimum, now, complain)
        if person.grant:
            person.taking_minimum = log.taking_minimum
            check_trial(person, lives, dump["catalog"], now, complain)
    return found


# ---- does it find what is wrong? --------------------------------------------------------------------------------


def tamperings(dump):
    """Falsified copies: (what was done, the copy). What a dump has no place for is skipped."""

    def copies(name, places, change):
        for place in spread(list(places(dump)), 3):
            false = copy.deepcopy(dump)
            change(false, place)
            yield name, false

    def records(of):
        return ((a, r) for a, books in enumerate(of["accounts"]) for r in range(len(books["bill"]["records"])))

    def some(test):
        return lambda of: ((a, r) for a, r in records(of) if test(of["accounts"][a]["bill"]["records"][r]))

    def events(kind, test=lambda body: True):
        return lambda of: (
            n for n, e in enumerate(of["events"]) if e["body"]["event"] == kind and test(e["body"])
        )

    def record(of, place):
        return of["accounts"][place[0]]["bill"]["records"][place[1]]

    def shift(thing, name, by):
        thing[name] = clock(second(thing[name]) + by)

    def add(thing, name, units):
        value = amount(thing[name]) + units
        thing[name] = f"{'-' if value < 0 else ''}{abs(value) // 10**8}.{abs(value) % 10**8:08}"

    def drop(of, place):
        del of["accounts"][place[0]]["bill"]["records"][place[1]]

    def invent(of, place):
        made = dict(record(of, place), id="r-0", since=record(of, place)["until"])
        shift(made, "until", 60)
        of["accounts"][place[0]]["bill"]["records"].append(made)

    def waive(of, place):
        one = record(of, place)
        one["waived"], one["amount"], one["reason"] = one["amount"], "0.00000000", "operator"

    def charge(of, place):
        one = record(of, place)
        one["amount"], one["waived"] = one["waived"], "0.00000000"
        one.pop("reason")

    def shorten(of, place):
        shift(record(of, place), "until", -1)
        record(of, place)["seconds"] -= 1

    def merge(of, place):
        one, rows = record(of, place), of["accounts"][place[0]]["bill"]["records"]
        other = next((r for r in rows if r["since"] == one["until"] and r["resource"] == one["resource"]
                      and r["meter"] == one["meter"]), None)
        if other is None:
            return drop(of, place)
        one["until"], one["seconds"] = other["until"], one["seconds"] + other["seconds"]
        for name in ("amount", "waived", "grant"):
            add(one, name, amount(other[name]))
        rows.remove(other)

    def regrant(of, place):
        add(record(of, place), "grant", -1)
        add(record(of, place), "amount", 1)

    def body(of, place):
        return of["events"][place]["body"]

    def accounts(test=lambda books: True):
        return lambda of: (n for n, books in enumerate(of["accounts"]) if test(books))

    def used_claims(of):
        users = {b["account"]["id"] for b in of["accounts"] if b["trial"] and amount(b["trial"]["settled"]) > 1}
        return (n for n in events("trial-claimed")(of) if of["events"][n]["account"] in users)

    def on_demand(of):
        return events("bought", lambda told: told["purchase"]["option"] == "on-demand")(of)

    def claims_after_orders(of):
        first = min(on_demand(of), default=len(of["events"]))
        return (n for n in events("trial-claimed")(of) if n > first)

    def order_before(of, n):
        told = dict(body(of, min(on_demand(of))), waits=False, took_room=False)
        under_way = dict(of["events"][n], id=of["events"][n - 1]["id"] + "x", instance="i-under-way", body=told)
        of["events"].insert(n, under_way)

    def used_overrules(of):
        """Those that somebody claimed by. The same account may be overruled for nothing it did not have anyway."""
        for n in events("trial-overruled")(of):
            account = of["events"][n]["account"]
            later = (e["body"]["event"] for e in of["events"][n + 1:] if e["account"] == account)
            if next((kind for kind in later if kind in ("trial-claimed", "trial-overruled")), None) == "trial-claimed":
                yield n

    def charged_losses(of):
        """Losses of a host with which a charge ended; what is paid by the month has none."""
        ends = billed(of, "until")
        return (n for n in events("host-lost")(of) if (of["events"][n]["instance"], second(body(of, n)["since"])) in ends)

    def resumed(of):
        """Starts that end the loss of a host and are on the bill."""
        lost, begun = set(), billed(of, "since")
        for n, event in enumerate(of["events"]):
            kind = event["body"]["event"]
            if kind == "host-lost":
                lost.add(event["instance"])
            elif kind == "running" and event["instance"] in lost:
                lost.discard(event["instance"])
                if (event["instance"], second(event["body"]["at"])) in begun:
                    yield n

    def unplan(of, place):
        # Where it took nobody, nothing of money follows from it; then it is told of one that never waited.
        before = of["events"][place - 1]["body"]
        if before["event"] == "interruptServer" and before["cause"] in ("capacity", "own-order"):
            of["events"].pop(place)
        else:
            of["events"][place]["instance"] = "i-0"

    def drill(told):
        return told["cause"] == "drill"

    def taken_over(of):
        drilled = {of["events"][n]["instance"] for n in events("interruptServer", drill)(of)}
        notices = events("interruptServer", lambda told: told["cause"] in FREE_CAUSES)(of)
        return (n for n in notices if of["events"][n]["instance"] in drilled)

    def short_takings(of):
        """Ends of those for which others went and which were deleted before the minimum was over."""
        least, starts, took, asked = of["catalog"].get("taking_minimum_seconds", 0), {}, set(), {}
        for n, event in enumerate(of["events"]):
            id_, what = event.get("instance"), event["body"]
            if what["event"] == "bought" and what.get("took_room"):
                took.add(id_)
            elif what["event"] == "running" and what["first"]:
                starts[id_] = second(what["at"])
            elif what["event"] == "delete-asked":
                asked[id_] = second(event["at"])
            elif what["event"] == "ended" and id_ in took and id_ in asked and asked[id_] < starts[id_] + least:
                yield n

    def noticed_takings(kind):
        def places(of):
            before = [None] + of["events"]
            return (n for n in events(kind, lambda b: b.get("took_room"))(of)
                    if before[n] and before[n]["body"]["event"] == "interruptServer")

        return places

    def billed(of, which):
        """Where uses of vCPU and memory begin (`since`) or end (`until`) by the records."""
        rows = [r for books in of["accounts"] for r in books["bill"]["records"] + books["bill"]["accruing"]]
        return {(r["resource"], second(r[which])) for r in rows if r["meter"] == "compute"}

    def economical_ends(of):
        """Economical stops with which a use that is on the bill ends."""
        ends = billed(of, "until") - billed(of, "since")
        return (n for n in events("stopped", lambda b: b.get("economical"))(of)
                if (of["events"][n]["instance"], second(body(of, n)["at"])) in ends)

    def asked_away(of):
        """Requests for an economical stop that came to it."""
        for n, event in enumerate(of["events"]):
            if event["body"]["event"] == "economical-stop-asked":
                after = (e["body"] for e in of["events"][n + 1:] if e.get("instance") == event["instance"])
                then = next(after, {})
                if then.get("event") == "stopped" and then.get("economical"):
                    yield n

    def followed_by_running(of):
        """Requests for a start after an economical stop that came to it."""
        for n in events("firm-start-asked")(of):
            after = (e["body"] for e in of["events"][n + 1:] if e.get("instance") == of["events"][n]["instance"])
            if next(after, {}).get("event") == "running":
                yield n

    def starts_again(of):
        """Of those that were stopped economically: first seconds that are on the bill."""
        begun, away = billed(of, "since"), set()
        for n, event in enumerate(of["events"]):
            kind, id_ = event["body"]["event"], event.get("instance")
            if kind == "firm-start-asked":
                away.add(id_)
            elif kind == "running" and id_ in away:
                away.discard(id_)
                if (id_, second(event["body"]["at"])) in begun:
                    yield n

    def resizes(of):
        """Of what is charged meanwhile, with a record on each side."""
        both = billed(of, "since") & billed(of, "until")
        return (n for n in events("resized")(of) if (of["events"][n]["instance"], second(body(of, n)["at"])) in both)

    def reprice(of, place):
        terms = body(of, place)["purchase"]
        more = f"{price(terms['price']) + 1:07}"
        terms["price"] = f"{more[:-6]}.{more[-6:]}"

    def unlist(of, place):
        """A flavor of a resized trial leaves the grants' lists, or comes back to them."""
        flavor = body(of, place)["flavor"]
        for terms in of["catalog"]["trials"]:
            for flavors in [terms["flavors"], *terms["flavors_in"].values()]:
                flavors.remove(flavor) if flavor in flavors else flavors.append(flavor)

    def covered_resizes(of):
        """Of trials whose grant pays, or could."""
        rows = {(r["resource"], second(r["since"])) for books in of["accounts"] if books["trial"]
                for r in books["bill"]["records"] if amount(r["grant"]) > 0}
        trial = events("resized", lambda b: b["purchase"]["option"] == "trial")
        return (n for n in trial(of) if (of["events"][n]["instance"], second(body(of, n)["at"])) in rows)

    def sold_on_demand(of):
        """Those with a record on each side."""
        both = billed(of, "since") & billed(of, "until")
        these = events("converted", lambda b: b["purchase"]["option"] == "on-demand")(of)
        return (n for n in these if (of["events"][n]["instance"], second(body(of, n)["at"])) in both)

    to_months = events("converted", lambda b: b["purchase"]["option"] == "subscription")

    def late_money(of, n):
        """All that its account paid in comes right after the conversion."""
        account = of["events"][n]["account"]
        mine = [m for m, e in enumerate(of["events"][:n]) if e["account"] == account and e["body"]["event"] == "topped-up"]
        bodies = [of["events"][m]["body"] for m in mine]
        for m in mine:
            of["events"][m]["body"] = {"event": "trial-appealed"}
        for paid_in in bodies:
            before = of["events"][n]
            n += 1
            of["events"].insert(n, {"id": before["id"] + "x", "account": account, "at": before["at"], "body": paid_in})

    def dearer(thing):
        more = f"{price(thing['price']) + 1:07}"
        thing["price"] = f"{more[:-6]}.{more[-6:]}"

    paid, granted = (lambda r: amount(r["amount"]) > 0), (lambda r: amount(r["grant"]) > 0)
    waived, ran = (lambda r: amount(r["waived"]) > 0), (lambda b: b["first"])
    yield from copies("a record is left out", records, drop)
    yield from copies("a record is shown twice", records,
                      lambda of, p: of["accounts"][p[0]]["bill"]["records"].append(dict(record(of, p))))
    yield from copies("a record is invented", records, invent)
    yield from copies("a record is one second shorter", records, shorten)
    yield from copies("two records are made one", records, merge)
    yield from copies("a price is a millionth higher", records,
                      lambda of, p: record(of, p).update(price=f"{decimal(record(of, p)['price'], 6) + 1:07}"[:-6] + "."
                                                         + f"{decimal(record(of, p)['price'], 6) + 1:07}"[-6:]))
    yield from copies("an amount is 10^-8 higher", some(paid), lambda of, p: add(record(of, p), "amount", 1))
    yield from copies("a paid record is waived", some(paid), waive)
    yield from copies("a waived record is charged", some(waived), charge)
    yield from copies("the grant pays 10^-8 less", some(granted), regrant)
    yield from copies("a record is issued an hour late", records, lambda of, p: shift(record(of, p), "issued_at", HOUR))
    yield from copies("cash is 10^-8 more", accounts(), lambda of, n: add(of["accounts"][n]["balance"], "cash", 1))
    yield from copies("debt is 10^-8 more", accounts(), lambda of, n: add(of["accounts"][n]["balance"], "debt", 1))
    yield from copies("more of the grant is left", accounts(lambda books: books["trial"]),
                      lambda of, n: add(of["accounts"][n]["trial"], "left", 1))
    yield from copies("a settled total is 10^-8 off", accounts(),
                      lambda of, n: add(of["accounts"][n]["balance"]["settled"], "payable", -1))
    yield from copies("a top-up is left out of the log", events("topped-up"), lambda of, n: of["events"].pop(n))
    yield from copies("a top-up is a cent larger", events("topped-up"), lambda of, n: add(body(of, n), "amount", 10**6))
    yield from copies("a purchase is left out of the log", events("bought"), lambda of, n: of["events"].pop(n))
    yield from copies("a first start is left out of the log", events("running", ran), lambda of, n: of["events"].pop(n))
    yield from copies("a first start is a second later", events("running", ran), lambda of, n: shift(body(of, n), "at", 1))
    yield from copies("an end is left out of the log", events("ended"), lambda of, n: of["events"].pop(n))
    yield from copies("an end is a second earlier", events("ended", lambda b: b["cause"] != "never-ran"),
                      lambda of, n: shift(body(of, n), "at", -1))
    yield from copies("a reclaim is called a delete", events("ended", lambda b: "waived_since" in b),
                      lambda of, n: body(of, n).update(cause="deleted"))
    yield from copies("a reclaim waives a period more", events("ended", lambda b: "waived_since" in b),
                      lambda of, n: shift(body(of, n), "waived_since", -HOUR))
    yield from copies("the loss of a host is left out of the log", charged_losses, lambda of, n: of["events"].pop(n))
    yield from copies("a host is lost a second earlier", charged_losses, lambda of, n: shift(body(of, n), "since", -1))
    yield from copies("a lost instance runs again a second later", resumed, lambda of, n: shift(body(of, n), "at", 1))
    yield from copies("a new plan is left out of the log", events("replanned"), unplan)
    yield from copies("a drill is called a reclaim", events("ended", drill), lambda of, n: body(of, n).update(cause="operator"))
    yield from copies("a reclaim is called a drill", events("ended", lambda b: b["cause"] == "operator"),
                      lambda of, n: body(of, n).update(cause="drill"))
    yield from copies("a drill waives its whole period", events("ended", drill),
                      lambda of, n: shift(body(of, n), "waived_since", -HOUR))
    yield from copies("a drill is free a second longer", events("interruptServer", drill),
                      lambda of, n: shift(body(of, n), "free_until", 1))
    yield from copies("a drill is free though the month has no more", events("ended", lambda b: "waived_until" in b),
                      lambda of, n: body(of, n).pop("waived_until"))
    def lasting_drills(of):
        """Drills that nobody took over in their very instant: of such a one no trace is left."""
        for n in events("interruptServer", drill)(of):
            event, after = of["events"][n], of["events"][n + 1:n + 50]
            if not any(e.get("instance") == event["instance"] and e["at"] == event["at"] and e["body"]["event"] == "interruptServer" for e in after):
                yield n

    def charged_volumes(kind):
        """Events of volumes that were charged for a while, with a record, so that another second is another bill."""
        def places(of):
            charged = {}
            for books in of["accounts"]:
                for one in [*books["bill"]["records"], *books["bill"]["accruing"]]:
                    charged.setdefault(one["resource"], []).append((second(one["since"]), second(one["until"])))
            # Of what goes while its host is away either event alone says the same of its bill.
            ends = {name: {(body(of, n)["volume"], body(of, n)[key]) for n in events(name)(of)}
                    for name, key in (("volume-deleted", "at"), ("volume-unavailable", "since"))}
            both = {volume for volume, _ in ends["volume-deleted"] & ends["volume-unavailable"]}
            for n in events(kind)(of):
                if kind in ends and body(of, n)["volume"] in both:
                    continue
                known = charged.get(body(of, n)["volume"], [])
                at = second(body(of, n).get("at", body(of, n).get("since", "1970-01-01T00:00:00Z")))
                if known and (kind in ("volume-created", "volume-there") or any(a < at <= b for a, b in known)):
                    yield n
        return places

    flat = some(lambda r: r["meter"] in FLAT)
    yield from copies("the record of a disk is left out", flat, drop)
    yield from copies("the record of a disk is a second shorter", flat, shorten)
    yield from copies("a disk is paid by a grant", flat, lambda of, p: [add(record(of, p), name, 1) for name in ("covered", "grant")])
    yield from copies("a disk is waived", some(lambda r: r["meter"] in FLAT and amount(r["amount"])), waive)
    yield from copies("a disk is there a second later", charged_volumes("volume-there"), lambda of, n: shift(body(of, n), "at", 1))
    yield from copies("that a disk is there is left out of the log", charged_volumes("volume-there"), lambda of, n: of["events"].pop(n))
    yield from copies("a disk is a GiB larger", charged_volumes("volume-created"), lambda of, n: body(of, n).update(gib=body(of, n)["gib"] + 1))
    yield from copies("a disk is somebody else's", charged_volumes("volume-created"),
                      lambda of, n: of["events"][n].update(account=next(
                          books["account"]["id"] for books in of["accounts"] if books["account"]["id"] != of["events"][n]["account"])))
    yield from copies("the delete of a disk is a second earlier", charged_volumes("volume-deleted"), lambda of, n: shift(body(of, n), "at", -1))
    yield from copies("the delete of a disk is left out of the log", charged_volumes("volume-deleted"), lambda of, n: of["events"].pop(n))
    yield from copies("a disk grew by a GiB more", charged_volumes("volume-resized"), lambda of, n: body(of, n).update(gib=body(of, n)["gib"] + 1))
    yield from copies("a disk's growth is left out of the log", charged_volumes("volume-resized"), lambda of, n: of["events"].pop(n))
    yield from copies("a disk's host was heard a second longer", charged_volumes("volume-unavailable"),
                      lambda of, n: shift(body(of, n), "since", 1))
    yield from copies("that a disk's host was away is left out of the log", charged_volumes("volume-unavailable"),
                      lambda of, n: of["events"].pop(n))
    yield from copies("a disk is detached from what it was not attached to", events("disk-detached"),
                      lambda of, n: of["events"].insert(n + 1, dict(of["events"][n], id=of["events"][n]["id"] + "x")))
    yield from copies("the notice of a drill is left out of the log", lasting_drills,
                      lambda of, n: of["events"].pop(n))
    yield from copies("a drill was asked for a minute earlier", events("interruptServer", drill),
                      lambda of, n: [shift(body(of, n), name, -60) for name in ("notice_at", "deadline", "free_until")])
    yield from copies("a platform's taking over is left out of the log", taken_over, lambda of, n: of["events"].pop(n))
    yield from copies("a taken-over drill stays a drill", taken_over, lambda of, n: body(of, n).update(cause="drill"))
    yield from copies("a free record of a drill is charged", some(lambda r: r.get("reason") == "drill"), charge)
    yield from copies("a month has fewer free seconds", lambda of: [0] if any(events("interruptServer", drill)(of)) else [],
                      lambda of, _: of["catalog"].update(drill_free_seconds=299))
    yield from copies("one for which others had notices is called one that took nobody", noticed_takings("bought"),
                      lambda of, n: body(of, n).update(took_room=False))
    yield from copies("one that took nobody is said to have taken",
                      events("bought", lambda b: not b["waits"]), lambda of, n: body(of, n).update(took_room=True))
    yield from copies("a start again for which others had notices is called one that took nobody",
                      noticed_takings("firm-start-asked"), lambda of, n: body(of, n).update(took_room=False))
    yield from copies("an economical stop is a second later", economical_ends, lambda of, n: shift(body(of, n), "at", 1))
    yield from copies("an economical stop is left out of the log", economical_ends, lambda of, n: of["events"].pop(n))
    yield from copies("an economical stop is called an ordinary one", economical_ends,
                      lambda of, n: body(of, n).pop("economical"))
    yield from copies("nobody asked for an economical stop", asked_away,
                      lambda of, n: body(of, n).update(event="stop-asked"))
    yield from copies("an economical stop ends the charge an hour before", economical_ends,
                      lambda of, n: of["events"].insert(n, dict(of["events"][n], id=of["events"][n - 1]["id"] + "x", body={
                          "event": "economical-stop-asked", "charged_until": clock(second(body(of, n)["at"]) - HOUR)})))
    yield from copies("a start again is a second later", starts_again, lambda of, n: shift(body(of, n), "at", 1))
    yield from copies("a start again is left out of the log", followed_by_running, lambda of, n: of["events"].pop(n))
    yield from copies("a resize is left out of the log", resizes, lambda of, n: of["events"].pop(n))
    yield from copies("a resize is a second later", resizes, lambda of, n: shift(body(of, n), "at", 1))
    yield from copies("a resize is a millionth dearer", events("resized"), reprice)
    yield from copies("a resize is to the flavor that it had", resizes,
                      lambda of, n: of["events"].insert(n, copy.deepcopy(of["events"][n])))
    yield from copies("a trial's list is another", covered_resizes, unlist)
    yield from copies("the taking minimum is ten seconds more", short_takings,
                      lambda of, n: of["catalog"].update(taking_minimum_seconds=of["catalog"]["taking_minimum_seconds"] + 10))
    yield from copies("who took room leaves without the minimum", short_takings, lambda of, n: shift(body(of, n), "at", -60))
    yield from copies("a closed hour is left out of the log", events("hour-closed"), lambda of, n: of["events"].pop(n))
    yield from copies("the trial's cap is next to nothing", used_claims,
                      lambda of, n: body(of, n).update(hourly_cap="0.000001"))
    yield from copies("a revoke is left out of the log", events("trial-revoked"), lambda of, n: of["events"].pop(n))
    yield from copies("a revoke took a cent less", events("trial-revoked"), lambda of, n: add(body(of, n), "amount", -10**6))
    yield from copies("nobody overruled", used_overrules, lambda of, n: of["events"].pop(n))
    yield from copies("something else was overruled", used_overrules, lambda of, n: body(of, n).update(lifts=["unverified"]))
    yield from copies("one claims while an order is under way", claims_after_orders, order_before)
    yield from copies("an account is closed at once",
                      lambda of: (n for n in events("topped-up")(of) if of["events"][n - 1]["account"] == of["events"][n]["account"]),
                      lambda of, n: of["events"][n - 1].update(body={"event": "account-closed"}))
    yield from copies("the end of a trial is left out of the log", events("trial-ended"), lambda of, n: of["events"].pop(n))
    yield from copies("a trial ends a second later", events("trial-ended"), lambda of, n: shift(body(of, n), "at", 1))
    yield from copies("a used-up grant is called over", events("trial-ended", lambda b: b["by"] == "used-up"),
                      lambda of, n: body(of, n).update(by="validity"))
    yield from copies("a trial ends as nobody chose", events("trial-ended"),
                      lambda of, n: body(of, n).update(choice="release" if body(of, n)["choice"] == "continue" else "continue"))
    yield from copies("an instance stays a trial beyond its end", events("became-on-demand"), lambda of, n: of["events"].pop(n))
    yield from copies("an instance becomes on-demand a second early", events("became-on-demand"),
                      lambda of, n: shift(body(of, n), "since", -1))
    yield from copies("one that stops with its trial is charged a minute longer",
                      events("economical-stop-asked", lambda b: "charged_until" in b),
                      lambda of, n: shift(body(of, n), "charged_until", 60))
    yield from copies("one that goes with its trial is called deleted", events("ended", lambda b: b["cause"] == "trial-end"),
                      lambda of, n: body(of, n).update(cause="deleted"))
    yield from copies("one goes with its trial a second late", events("ended", lambda b: b["cause"] == "trial-end"),
                      lambda of, n: shift(body(of, n), "at", 1))
    yield from copies("what expired is left out of the log", events("trial-expired"), lambda of, n: of["events"].pop(n))
    yield from copies("10^-8 more expired", events("trial-expired"), lambda of, n: add(body(of, n), "amount", 1))
    yield from copies("a warning is left out of the log", events("trial-low"), lambda of, n: of["events"].pop(n))
    yield from copies("a warning comes a second late", events("trial-low"), lambda of, n: shift(body(of, n), "at", 1))
    yield from copies("the end is not announced", events("trial-ends-soon"), lambda of, n: of["events"].pop(n))
    yield from copies("a choice for the end is left out of the log",
                      lambda of: (n for n in events("trial-end-chosen", lambda b: b["choice"] == "release")(of)
                                  if any(of["events"][m]["body"]["choice"] == "release" and of["events"][m]["account"] == of["events"][n]["account"]
                                         for m in events("trial-ended")(of))
                                  and sum(of["events"][m]["account"] == of["events"][n]["account"] for m in events("trial-end-chosen")(of)) == 1),
                      lambda of, n: of["events"].pop(n))
    yield from copies("a conversion is left out of the log", lambda of: [*to_months(of), *sold_on_demand(of)], lambda of, n: of["events"].pop(n))
    yield from copies("a conversion is a second later", lambda of: [*to_months(of), *sold_on_demand(of)],
                      lambda of, n: shift(body(of, n), "at", 1))
    yield from copies("a conversion is of something else", events("converted"), lambda of, n: body(of, n).update({"from": "spot-block"}))
    yield from copies("a month is a millionth dearer", to_months, lambda of, n: dearer(body(of, n)["purchase"]))
    yield from copies("a month more is sold", to_months, lambda of, n: body(of, n)["purchase"].update(months=body(of, n)["purchase"]["months"] + 1))
    yield from copies("a subscription ends a second later", to_months, lambda of, n: shift(body(of, n)["purchase"], "until", 1))
    yield from copies("a subscription is kept a day longer", to_months, lambda of, n: body(of, n)["purchase"].update(keep_days=99))
    yield from copies("a price on demand is another after a conversion", sold_on_demand, lambda of, n: dearer(body(of, n)["purchase"]))
    yield from copies("no flavor is sold by the month", lambda of: [0] if any(to_months(of)) else [],
                      lambda of, _: [f.pop("subscription", None) for f in of["catalog"]["flavors"]])
    yield from copies("months are sold for one at most", lambda of: (n for n in to_months(of) if body(of, n)["purchase"]["months"] > 1),
                      lambda of, n: of["catalog"].update(subscription_max_months=1))
    yield from copies("months are paid before the money comes in",
                      lambda of: (n for n in to_months(of) if not any(
                          e["account"] == of["events"][n]["account"] and e["body"]["event"] == "topped-up" for e in of["events"][n + 1:])),
                      late_money)
    yield from copies("a renewal is left out of the log", events("renewed"), lambda of, n: of["events"].pop(n))
    yield from copies("a renewal begins a second later", events("renewed"), lambda of, n: shift(body(of, n), "since", 1))
    yield from copies("a renewal ends a second later", events("renewed"), lambda of, n: shift(body(of, n), "until", 1))
    yield from copies("a renewal is of a month more", events("renewed"), lambda of, n: body(of, n).update(months=body(of, n)["months"] + 1))
    yield from copies("a renewal is a millionth dearer", events("renewed"), lambda of, n: dearer(body(of, n)))
    began = events("subscription-began")
    yield from copies("the first payment of what was bought by the month is left out of the log", began, lambda of, n: of["events"].pop(n))
    yield from copies("months that were bought begin a second later", began, lambda of, n: shift(body(of, n), "since", 1))
    yield from copies("months that were bought end a second later", began, lambda of, n: shift(body(of, n), "until", 1))
    yield from copies("a month more is paid than was bought", began, lambda of, n: body(of, n).update(months=body(of, n)["months"] + 1))
    yield from copies("what was bought by the month is a millionth dearer", events("bought", lambda b: b["purchase"]["option"] == "subscription"),
                      lambda of, n: dearer(body(of, n)["purchase"]))
    yield from copies("what was bought by the month is paid before the money comes in",
                      lambda of: (n for n in events("bought", lambda b: b["purchase"]["option"] == "subscription")(of) if not any(
                          e["account"] == of["events"][n]["account"] and e["body"]["event"] == "topped-up" for e in of["events"][n + 1:])),
                      late_money)
    by_itself = events("renewed", lambda b: b.get("auto"))

    def chosen_for(of):
        """The last choices before subscriptions renewed themselves, or could not."""
        for n in [*by_itself(of), *events("renewal-failed")(of)]:
            yield max(m for m in events("renewal-chosen")(of) if m < n and of["events"][m]["instance"] == of["events"][n]["instance"])

    failed = events("renewal-failed")
    yield from copies("nobody chose that it renews itself", chosen_for, lambda of, n: of["events"].pop(n))
    yield from copies("a renewal by itself is for other months than were chosen", chosen_for,
                      lambda of, n: body(of, n).update(months=body(of, n)["months"] + 1))
    yield from copies("one that renews itself is said to be renewed by hand", by_itself, lambda of, n: body(of, n).pop("auto"))
    yield from copies("one renews itself a second late", by_itself, lambda of, n: shift(body(of, n), "since", 1))
    yield from copies("why one did not renew itself is left out of the log", failed, lambda of, n: of["events"].pop(n))
    yield from copies("it could have renewed itself", failed, lambda of, n: add(body(of, n), "available", 10**12))
    yield from copies("10^-8 less was available for a renewal", failed, lambda of, n: add(body(of, n), "available", -1))
    yield from copies("a renewal needed 10^-8 more", events("renewal-failed", lambda b: "needed" in b), lambda of, n: add(body(of, n), "needed", 1))
    yield from copies("another renewal is announced", events("subscription-ends-soon", lambda b: "renewal" in b),
                      lambda of, n: add(body(of, n)["renewal"], "needed", 1))
    yield from copies("more is said to be there for a renewal", events("subscription-ends-soon", lambda b: "renewal" in b),
                      lambda of, n: add(body(of, n)["renewal"], "available", 1))
    yield from copies("a renewal is not announced", events("subscription-ends-soon", lambda b: "renewal" in b),
                      lambda of, n: body(of, n).pop("renewal"))
    yield from copies("the end of a subscription is left out of the log", events("subscription-ended"), lambda of, n: of["events"].pop(n))
    yield from copies("the end of a subscription is a second later", events("subscription-ended"), lambda of, n: shift(body(of, n), "at", 1))
    yield from copies("one whose subscription ended is kept a second less", events("subscription-ended"),
                      lambda of, n: shift(body(of, n), "kept_until", -1))
    yield from copies("the end of a subscription is not announced", events("subscription-ends-soon"), lambda of, n: of["events"].pop(n))
    yield from copies("the end of a subscription is announced wrongly", events("subscription-ends-soon"),
                      lambda of, n: body(of, n).update(days=body(of, n)["days"] + 1))
    yield from copies("what was kept to its end is called deleted", events("ended", lambda b: b["cause"] == "subscription-end"),
                      lambda of, n: body(of, n).update(cause="deleted"))
    yield from copies("a subscription's record has a month less", some(lambda r: r["meter"] == "subscription"),
                      lambda of, p: record(of, p).update(months=record(of, p)["months"] - 1))
    def tight_acts(of):
        """Caps that acted for this month's sake, of accounts whose grant nobody took; and stopped something that was charged."""
        zone = Zone(of["catalog"]["time_zone"])
        taken = {event["account"] for event in of["events"] if event["body"]["event"] == "trial-revoked"}
        # Traffic comes in leaps; of the second nothing is said then.
        taken |= {books["account"]["id"] for books in of["accounts"] for which in ("traffic", "traffic_accruing")
                  if any(decimal(record["payable"], 6) > 0 for record in books["bill"].get(which, []))}
        for n in events("cap-reached")(of):
            at, account = body(of, n)["at"], of["events"][n]["account"]
            after = [event["body"] for event in of["events"][n + 1:n + 200] if event["account"] == account]
            stopped = any(at in (b.get("charged_until"), b.get("at") if b.get("cause") == "spending-cap" else None) for b in after)
            if stopped and account not in taken and zone.month(second(at) + 1) == zone.month(second(at)):
                yield n

    def last_caps(of):
        """The settings by which they acted."""
        for n in tight_acts(of):
            account = of["events"][n]["account"]
            sets = [m for m in events("cap-set")(of) if m < n and of["events"][m]["account"] == account]
            if sets:
                yield sets[-1]

    capped = lambda b: b["cause"] == "spending-cap"
    yield from copies("a cap is a cent higher", last_caps, lambda of, n: add(body(of, n), "amount", 10**6))
    yield from copies("a cap is a cent lower", last_caps, lambda of, n: add(body(of, n), "amount", -10**6))
    yield from copies("a cap is left out of the log", last_caps, lambda of, n: of["events"].pop(n))
    yield from copies("what a cap did is left out of the log", tight_acts, lambda of, n: of["events"].pop(n))
    yield from copies("a cap acts a second later", tight_acts, lambda of, n: shift(body(of, n), "at", 1))
    yield from copies("a cap acts a second early", tight_acts, lambda of, n: shift(body(of, n), "at", -1))
    yield from copies("a cap ends a block a second late", events("ended", capped), lambda of, n: shift(body(of, n), "at", 1))
    yield from copies("a block that a cap ended is called deleted", events("ended", capped),
                      lambda of, n: body(of, n).update(cause="deleted"))
    yield from copies("a warning of a cap comes twice", events("cap-soon"),
                      lambda of, n: of["events"].insert(n, copy.deepcopy(of["events"][n])))
    grace = lambda b: b["by"] == "grace"
    limit = lambda b: b["by"] == "debt-limit"
    charged_freezes = lambda of: (n for n in events("frozen")(of) if (of["events"][n]["instance"], second(body(of, n)["at"])) in billed(of, "until"))
    yield from copies("the beginning of arrears is left out of the log", events("arrears-began"), lambda of, n: of["events"].pop(n))
    yield from copies("arrears begin a second later", events("arrears-began"), lambda of, n: shift(body(of, n), "since", 1))
    yield from copies("arrears begin with 10^-8 more", events("arrears-began"), lambda of, n: add(body(of, n), "debt", 1))
    yield from copies("a grace is a second longer", events("arrears-began"), lambda of, n: shift(body(of, n), "grace_until", 1))
    yield from copies("a grace is of a day more", events("arrears-began"),
                      lambda of, n: of["catalog"].update(arrears_grace_days=of["catalog"]["arrears_grace_days"] + 1))
    yield from copies("a freeze is left out of the log", events("account-frozen"), lambda of, n: of["events"].pop(n))
    yield from copies("a freeze comes a second later", events("account-frozen"), lambda of, n: shift(body(of, n), "at", 1))
    yield from copies("a freeze comes a second early", events("account-frozen"), lambda of, n: shift(body(of, n), "at", -1))
    yield from copies("a freeze lasts a second less", events("account-frozen"), lambda of, n: shift(body(of, n), "release_at", -1))
    yield from copies("a freeze after a grace is called one by the limit", events("account-frozen", grace),
                      lambda of, n: body(of, n).update(by="debt-limit"))
    yield from copies("a freeze by the limit is called one after a grace", events("account-frozen", limit),
                      lambda of, n: body(of, n).update(by="grace"))
    def before_graces(of):
        """The last words before freezes that came with the end of a grace."""
        for n in events("freeze-soon")(of):
            account = of["events"][n]["account"]
            after = (e["body"] for e in of["events"][n + 1:] if e["account"] == account)
            after = next((b for b in after if b["event"] in ("freeze-soon", "account-frozen", "arrears-cleared")), {})
            if after.get("by") == "grace":
                yield n

    yield from copies("nobody was told of a freeze", before_graces, lambda of, n: of["events"].pop(n))
    yield from copies("a freeze is announced twice", events("freeze-soon"),
                      lambda of, n: of["events"].insert(n + 1, dict(of["events"][n], id=of["events"][n]["id"] + "x")))
    yield from copies("nobody was told of a release", events("release-soon", lambda b: b["days"] == 1), lambda of, n: of["events"].pop(n))
    yield from copies("a release is announced for another second", events("release-soon"), lambda of, n: shift(body(of, n), "release_at", 1))
    yield from copies("the release after a freeze is left out of the log", events("arrears-released"), lambda of, n: of["events"].pop(n))
    yield from copies("the release after a freeze is a second early", events("arrears-released"), lambda of, n: shift(body(of, n), "at", -1))
    yield from copies("the end of arrears is left out of the log", events("arrears-cleared"), lambda of, n: of["events"].pop(n))
    yield from copies("the end of arrears is a second later", events("arrears-cleared"), lambda of, n: shift(body(of, n), "at", 1))
    yield from copies("what is frozen is left out of the log", charged_freezes, lambda of, n: of["events"].pop(n))
    yield from copies("an instance is frozen a second later", events("frozen"), lambda of, n: shift(body(of, n), "at", 1))
    yield from copies("what thawed is left out of the log", events("thawed"), lambda of, n: of["events"].pop(n))
    yield from copies("an instance thaws a second later", events("thawed"), lambda of, n: shift(body(of, n), "at", 1))
    passed = events("debt-limit-reached")
    yield from copies("blocks that cost too much go without a word", passed, lambda of, n: of["events"].pop(n))
    yield from copies("the debt limit is reached an hour later", passed, lambda of, n: shift(body(of, n), "at", HOUR))
    yield from copies("the debt limit is reached an hour early", passed, lambda of, n: shift(body(of, n), "at", -HOUR))
    yield from copies("another debt limit is reached", passed, lambda of, n: add(body(of, n), "limit", 1))
    yield from copies("a block that went with a freeze is called deleted", events("ended", lambda b: b["cause"] == "arrears"),
                      lambda of, n: body(of, n).update(cause="deleted"))
    yield from copies("what goes with a freeze ends a second late", events("ended", lambda b: b["cause"] == "arrears"),
                      lambda of, n: shift(body(of, n), "at", 1))
    def tight_shares(of):
        """Shares that were told of a second within an hour, where nothing leaps."""
        taken = {event["account"] for event in of["events"] if event["body"]["event"] == "trial-revoked"}
        taken |= {books["account"]["id"] for books in of["accounts"] for which in ("traffic", "traffic_accruing")
                  if any(decimal(record["payable"], 6) > 0 for record in books["bill"].get(which, []))}
        for n in events("budget-reached")(of):
            if of["events"][n]["account"] not in taken and second(body(of, n)["at"]) % HOUR not in (0, 1):
                yield n

    def last_budgets(of):
        """The settings by which they were told."""
        for n in tight_shares(of):
            yield max(m for m in events("budget-set")(of) if m < n and of["events"][m]["account"] == of["events"][n]["account"])

    yield from copies("a share of a budget is told of a second later", tight_shares, lambda of, n: shift(body(of, n), "at", 1))
    yield from copies("a share of a budget is told of a second early", tight_shares, lambda of, n: shift(body(of, n), "at", -1))
    yield from copies("10^-8 more is said to be payable", tight_shares, lambda of, n: add(body(of, n), "payable", 1))
    yield from copies("a share is told that nobody asked for", events("budget-reached"), lambda of, n: body(of, n).update(percent=999))
    yield from copies("a share of a budget is told twice", events("budget-reached"),
                      lambda of, n: of["events"].insert(n + 1, dict(of["events"][n], id=of["events"][n]["id"] + "x")))
    yield from copies("a budget is left out of the log", last_budgets, lambda of, n: of["events"].pop(n))
    yield from copies("a budget is a cent higher", last_budgets, lambda of, n: add(body(of, n), "amount", 10**6))
    yield from copies("what is expected is no more than the budget", events("budget-expected"),
                      lambda of, n: body(of, n).update(expected="0.00000000"))
    yield from copies("it is told twice that more is expected", events("budget-expected"),
                      lambda of, n: of["events"].insert(n + 1, dict(of["events"][n], id=of["events"][n]["id"] + "x")))
    yield from copies("what the grant may pay for is less", some(granted), lambda of, p: add(record(of, p), "covered", -1))
    def sent(of):
        return ((a, r) for a, books in enumerate(of["accounts"]) for r in range(len(books["bill"].get("traffic", []))))

    def line(of, place):
        return of["accounts"][place[0]]["bill"]["traffic"][place[1]]

    def millionth(thing, name, by):
        more = f"{decimal(thing[name], 6) + by:07}"
        thing[name] = f"{more[:-6]}.{more[-6:]}"

    def told_of(test):
        return lambda of: ((a, r) for a, r in sent(of) if test(of["accounts"][a]["bill"]["traffic"][r]))

    free = told_of(lambda r: decimal(r["anywhere"], 6) > 0)
    owed = told_of(lambda r: decimal(r["payable"], 6) > 0)
    counted = events("traffic-counted", lambda b: b["bytes"] >= 1_000)
    yield from copies("a record of traffic is left out", sent, lambda of, p: of["accounts"][p[0]]["bill"]["traffic"].pop(p[1]))
    yield from copies("a record of traffic is shown twice", sent,
                      lambda of, p: of["accounts"][p[0]]["bill"]["traffic"].append(dict(line(of, p))))
    yield from copies("a record of traffic is a millionth of a GB more", sent, lambda of, p: millionth(line(of, p), "quantity", 1))
    yield from copies("a price of traffic is a millionth higher", sent, lambda of, p: millionth(line(of, p), "price", 1))
    yield from copies("a record of traffic begins an hour early", sent, lambda of, p: shift(line(of, p), "since", -HOUR))
    yield from copies("a record of traffic is issued an hour late", sent, lambda of, p: shift(line(of, p), "issued_at", HOUR))
    yield from copies("a pool pays a millionth less", free,
                      lambda of, p: [millionth(line(of, p), name, by) for name, by in (("anywhere", -1), ("payable", 1))])
    yield from copies("the other pool pays", free,
                      lambda of, p: [millionth(line(of, p), name, by) for name, by in (("anywhere", -1), ("overseas", 1))])
    yield from copies("traffic costs 10^-8 more", owed, lambda of, p: add(line(of, p), "amount", 1))
    yield from copies("a reading is left out of the log", counted, lambda of, n: of["events"].pop(n))
    yield from copies("a reading is told twice", counted,
                      lambda of, n: of["events"].insert(n + 1, dict(of["events"][n], id=of["events"][n]["id"] + "x")))
    yield from copies("a reading counts a millionth of a GB more", events("traffic-counted"),
                      lambda of, n: body(of, n).update(bytes=body(of, n)["bytes"] + 1_000))
    yield from copies("a reading is of the hour before", counted, lambda of, n: shift(body(of, n), "at", -HOUR))
    yield from copies("a reading is of an hour to come", events("traffic-counted"), lambda of, n: shift(body(of, n), "at", HOUR))
    yield from copies("an address is left out of the log", events("address-allocated"), lambda of, n: of["events"].pop(n))
    yield from copies("an address is a millionth dearer", events("address-allocated"), lambda of, n: millionth(body(of, n), "price", 1))
    yield from copies("an address is on the other side of the sea", events("address-allocated"),
                      lambda of, n: body(of, n).update(overseas=not body(of, n)["overseas"]))
    yield from copies("the release of an address is left out of the log", events("address-released"), lambda of, n: of["events"].pop(n))
    yield from copies("a kept address is called released", events("address-kept"),
                      lambda of, n: body(of, n).update(event="address-released"))
    charged = events("address-charged", lambda b: "mbit" in b and "at" in b)
    yield from copies("an address has a Mbit/s more", charged, lambda of, n: body(of, n).update(mbit=body(of, n)["mbit"] + 1))
    yield from copies("a Mbit/s is a millionth dearer", charged, lambda of, n: millionth(body(of, n), "price", 1))
    yield from copies("bandwidth begins a second early", charged, lambda of, n: shift(body(of, n), "at", -1))
    yield from copies("bandwidth begins a second late", charged, lambda of, n: shift(body(of, n), "at", 1))
    yield from copies("a reading is charged that bandwidth pays", charged, lambda of, n: of["events"].insert(n + 1, dict(
        of["events"][n], id=of["events"][n]["id"] + "x",
        body={"event": "traffic-counted", "address": body(of, n)["address"], "bytes": 1_000_000, "at": clock(second(body(of, n)["at"]) + 1)})))
    to_traffic = events("address-charged", lambda b: "mbit" not in b)
    yield from copies("traffic pays a minute earlier", to_traffic, lambda of, n: shift(body(of, n), "at", -60))
    yield from copies("bandwidth ends a minute later", to_traffic, lambda of, n: shift(body(of, n), "at", 60))
    yield from copies("a frozen account has an address that is charged on", events("account-frozen"),
                      lambda of, n: body(of, n).update(addresses=[*body(of, n).get("addresses", []), "address-x"]))
    yield from copies("a disk of a subscription is frozen with its account", events("account-frozen", lambda b: "disks" in b),
                      lambda of, n: body(of, n).pop("disks"))
    yield from copies("a disk is frozen a second later", events("volume-frozen"), lambda of, n: shift(body(of, n), "at", 1))
    yield from copies("how an address is paid is left out of the log", events("address-charged"), lambda of, n: of["events"].pop(n))
    yield from copies("bandwidth ends a second later", events("address-released", lambda b: "at" in b), lambda of, n: shift(body(of, n), "at", 1))
    yield from copies("a bound address is left out of the log", events("address-bound"), lambda of, n: of["events"].pop(n))
    yield from copies("an unbound address is left out of the log", events("address-unbound"), lambda of, n: of["events"].pop(n))
    here = lambda of: {one["id"] for books in of["accounts"] for one in books["addresses"]}
    yield from copies("an address has another number", lambda of: (
        n for n in events("address-allocated")(of) if body(of, n)["address"] in here(of)), lambda of, n: body(of, n).update(ip="192.0.2.1"))
    yield from copies("nobody was told that a pool is low", events("traffic-low"), lambda of, n: of["events"].pop(n))
    yield from copies("a pool that is low is told of twice", events("traffic-low"),
                      lambda of, n: of["events"].insert(n + 1, dict(of["events"][n], id=of["events"][n]["id"] + "x")))
    yield from copies("of a low pool a millionth more is left", events("traffic-low"), lambda of, n: millionth(body(of, n), "left_gb", 1))
    adjusted = events("adjusted")

    def source(of, n, name, units):
        add(body(of, n)["back"], name, units)

    def other_record(of, n):
        mine = next(b for b in of["accounts"] if b["account"]["id"] == of["events"][n]["account"])
        others = [r["id"] for b in of["accounts"] if b is not mine for r in b["bill"]["records"]]
        body(of, n).update(record=(others or ["r-0"])[0])

    yield from copies("what was given back is left out of the log", adjusted, lambda of, n: of["events"].pop(n))
    yield from copies("10^-8 more was given back", adjusted,
                      lambda of, n: (add(body(of, n), "amount", 1), source(of, n, "cash", 1)))
    yield from copies("what a grant paid is given back in cash", events("adjusted", lambda b: amount(b["back"]["grant"]) > 0),
                      lambda of, n: (source(of, n, "cash", amount(body(of, n)["back"]["grant"])), body(of, n)["back"].update(grant="0.00000000")))
    yield from copies("cash goes back though something is owed", events("adjusted", lambda b: amount(b["back"]["debt"]) > 0),
                      lambda of, n: (source(of, n, "cash", 1), source(of, n, "debt", -1)))
    yield from copies("what came back to a grant is called expired", events("adjusted", lambda b: amount(b["back"]["grant"]) > 0),
                      lambda of, n: (source(of, n, "expired", 1), source(of, n, "grant", -1)))
    def lent(count=1, gone=None):
        """What was given back to so many vouchers at least; to one that was over, to none that was, or to any."""
        def of_it(b):
            to = b["back"].get("vouchers", [])
            return len(to) >= count and (gone is None or any(bool(one.get("gone")) == gone for one in to))
        return events("adjusted", of_it)

    def lent_to(of, n):
        return body(of, n)["back"]["vouchers"]

    def in_cash(of, n):
        source(of, n, "cash", amount(lent_to(of, n).pop()["amount"]))

    def to_another(of, n):
        mine = next(b for b in of["accounts"] if b["account"]["id"] == of["events"][n]["account"])
        said = lent_to(of, n)[0]
        said["voucher"] = next((v["id"] for v in mine["vouchers"] if v["id"] != said["voucher"]), "c-0")

    def called_gone(of, n):
        next(one for one in lent_to(of, n) if not one.get("gone"))["gone"] = "expired"

    def called_left(of, n):
        next(one for one in lent_to(of, n) if one.get("gone")).pop("gone")

    yield from copies("what a voucher paid is given back in cash", lent(), in_cash)
    yield from copies("10^-8 more comes back to a voucher", lent(),
                      lambda of, n: (add(body(of, n), "amount", 1), add(lent_to(of, n)[0], "amount", 1)))
    yield from copies("10^-8 of what a voucher paid is given back in cash", lent(),
                      lambda of, n: (source(of, n, "cash", 1), add(lent_to(of, n)[0], "amount", -1)))
    yield from copies("what a voucher paid comes back to another", lent(), to_another)
    yield from copies("what comes back to a voucher is of another kind", lent(),
                      lambda of, n: lent_to(of, n)[0].update(kind="card" if lent_to(of, n)[0]["kind"] != "card" else "cash-coupon"))
    yield from copies("the voucher that paid first gets back first", lent(2), lambda of, n: lent_to(of, n).reverse())
    yield from copies("what came back to a voucher is called gone", lent(gone=False), called_gone)
    yield from copies("what came back to one that is over may pay again", lent(gone=True), called_left)
    yield from copies("what came back to vouchers is shown larger",
                      accounts(lambda books: any("vouchers" in one for one in books["bill"].get("adjustments", []))),
                      lambda of, n: add(next(one for one in of["accounts"][n]["bill"]["adjustments"] if "vouchers" in one)["vouchers"][0], "amount", 1))
    for name in ("vouchers", "vouchers_gone"):
        yield from copies(f"10^-8 more is given back in {name}", accounts(lambda books: "adjusted" in books["balance"]),
                          lambda of, n, name=name: add(of["accounts"][n]["balance"]["adjusted"], name, 1))
    yield from copies("something is given back of somebody else's record", adjusted, other_record)
    yield from copies("something is given back for no reason", adjusted, lambda of, n: body(of, n).update(reason=""))
    yield from copies("the same is given back once more", adjusted,
                      lambda of, n: of["events"].insert(n + 1, dict(of["events"][n], id=of["events"][n]["id"] + "x")))
    yield from copies("what was given back is shown larger", accounts(lambda books: books["bill"].get("adjustments")),
                      lambda of, n: add(of["accounts"][n]["bill"]["adjustments"][0], "amount", 1))
    yield from copies("what was given back is not in the balance", accounts(lambda books: books["balance"].get("adjusted")),
                      lambda of, n: of["accounts"][n]["balance"].pop("adjusted"))
    yield from copies("a pool has another size", accounts(lambda books: books["trial"]),
                      lambda of, n: of["catalog"].update(trial_traffic_anywhere_gb=of["catalog"]["trial_traffic_anywhere_gb"] - 1))
    yield from copies("a millionth more of a pool is left", accounts(lambda books: books["trial"]),
                      lambda of, n: millionth(of["accounts"][n]["trial"]["traffic"]["overseas"], "left", 1))
    yield from copies("a byte more left an address this month", accounts(lambda books: books["addresses"]),
                      lambda of, n: of["accounts"][n]["addresses"][0].update(
                          bytes_this_month=of["accounts"][n]["addresses"][0]["bytes_this_month"] + 1))
    def paid_records(of):
        return ((a, which, r, n) for a, books in enumerate(of["accounts"]) for which in ("records", "accruing", "traffic", "traffic_accruing")
                for r, one in enumerate(books["bill"].get(which, [])) for n in range(len(one.get("vouchers", []))))

    def payments(of, place):
        account, which, one, _ = place
        return of["accounts"][account]["bill"][which][one]["vouchers"]

    def another(of, place):
        """A payment by another voucher of the account."""
        said = payments(of, place)[place[3]]
        said["voucher"] = next((v["id"] for v in of["accounts"][place[0]]["vouchers"] if v["id"] != said["voucher"]), "c-0")

    def told_of(kind, test=lambda body: True):
        return events(f"voucher-{kind}", test)

    def kept(of):
        return ((a, n) for a, books in enumerate(of["accounts"]) for n in range(len(books["vouchers"])))

    def with_expiry(b):
        return "expires_at" in b

    yield from copies("a voucher pays 10^-8 less", paid_records, lambda of, p: add(payments(of, p)[p[3]], "amount", -1))
    yield from copies("a voucher pays 10^-8 more", paid_records, lambda of, p: add(payments(of, p)[p[3]], "amount", 1))
    yield from copies("what a voucher paid is left out", paid_records, lambda of, p: payments(of, p).pop(p[3]))
    yield from copies("what a voucher paid is told twice", paid_records, lambda of, p: payments(of, p).append(dict(payments(of, p)[p[3]])))
    yield from copies("another voucher paid", paid_records, another)
    yield from copies("a voucher is left out of the log", told_of("issued"), lambda of, n: of["events"].pop(n))
    yield from copies("a voucher is worth 10^-8 more", told_of("issued"), lambda of, n: add(body(of, n), "face", 1))
    yield from copies("a voucher is of another kind", told_of("issued"),
                      lambda of, n: body(of, n).update(kind="card" if body(of, n)["kind"] != "card" else "cash-coupon"))
    yield from copies("a voucher expires a second later", told_of("issued", with_expiry), lambda of, n: shift(body(of, n), "expires_at", 1))
    yield from copies("a voucher expires a second earlier", told_of("issued", with_expiry), lambda of, n: shift(body(of, n), "expires_at", -1))
    yield from copies("a voucher never expires", told_of("issued", with_expiry), lambda of, n: body(of, n).pop("expires_at"))
    yield from copies("a voucher is valid a second later", told_of("issued"), lambda of, n: shift(body(of, n), "valid_from", 1))
    yield from copies("a voucher pays for less", told_of("issued"), lambda of, n: body(of, n)["pays"].update(regions=["moon"]))
    yield from copies("a voucher pays for more", told_of("issued", lambda b: b["pays"]), lambda of, n: body(of, n).update(pays={}))
    yield from copies("a revoke of a voucher is left out of the log", told_of("revoked"), lambda of, n: of["events"].pop(n))
    yield from copies("10^-8 more of a voucher is revoked", told_of("revoked"), lambda of, n: add(body(of, n), "amount", 1))
    yield from copies("a voucher is revoked a second later", told_of("revoked"), lambda of, n: shift(body(of, n), "at", 1))
    yield from copies("an expiry is left out of the log", told_of("expired"), lambda of, n: of["events"].pop(n))
    yield from copies("10^-8 more of a voucher expires", told_of("expired"), lambda of, n: add(body(of, n), "amount", 1))
    yield from copies("an expiry is a second later", told_of("expired"), lambda of, n: shift(body(of, n), "at", 1))
    yield from copies("the warning of an expiry is left out", told_of("expires-soon"), lambda of, n: of["events"].pop(n))
    yield from copies("the warning of an expiry comes twice", told_of("expires-soon"),
                      lambda of, n: of["events"].insert(n + 1, dict(of["events"][n], id=of["events"][n]["id"] + "x")))
    yield from copies("a warning says that 10^-8 more is left", told_of("expires-soon"), lambda of, n: add(body(of, n), "left", 1))
    yield from copies("nobody was told that a voucher is used up", told_of("used-up"), lambda of, n: of["events"].pop(n))
    yield from copies("a voucher is used up a second later", told_of("used-up"), lambda of, n: shift(body(of, n), "at", 1))
    for name in ("left", "used", "expired", "revoked"):
        yield from copies(f"10^-8 more of a voucher is {name}", kept,
                          lambda of, p, name=name: add(of["accounts"][p[0]]["vouchers"][p[1]], name, 1))
    yield from copies("10^-8 more of vouchers is left", accounts(lambda books: books["vouchers"]),
                      lambda of, n: add(of["accounts"][n]["balance"], "vouchers", 1))
    yield from copies("vouchers paid 10^-8 more", accounts(lambda books: "vouchers" in books["balance"]["settled"]),
                      lambda of, n: add(of["accounts"][n]["balance"]["settled"], "vouchers", 1))
    def dated(of):
        """Prices of the book by which something was charged: there is a record, and it is cut there."""
        cuts = {(record["meter"], record["since"]) for books in of["accounts"] for record in books["bill"]["records"]}
        for n, entry in enumerate(of["catalog"]["prices"]):
            meter = "system-disk" if entry["item"] == "system-disk" else "compute"
            if entry["item"].startswith(("on-demand", "system-disk")) and (meter, entry.get("from")) in cuts:
                flavor = entry.get("flavor")
                changed = any(e["body"]["event"] == "price-changed" and e["body"]["since"] == entry["from"] and
                              (flavor is None or bought(of, e["instance"]) == flavor) for e in of["events"])
                if changed:
                    yield n

    def bought(of, instance):
        return next((e["body"]["flavor"] for e in of["events"] if e.get("instance") == instance and e["body"]["event"] == "bought"), None)

    def entry(of, n):
        return of["catalog"]["prices"][n]

    def dearer_entry(of, n):
        units = price(entry(of, n)["price"]) + 1
        entry(of, n)["price"] = f"{units // 10**6}.{units % 10**6:06}"

    yield from copies("a price of the book holds a second earlier", dated, lambda of, n: shift(entry(of, n), "from", -1))
    yield from copies("a price of the book holds a second later", dated, lambda of, n: shift(entry(of, n), "from", 1))
    yield from copies("a price of the book is a millionth higher", dated, dearer_entry)
    yield from copies("a price is left out of the book", dated, lambda of, n: of["catalog"]["prices"].pop(n))
    def months_entries(of):
        """Prices of the book at which months were paid or ordered."""
        for event in of["events"]:
            b, kind = event["body"], event["body"]["event"]
            months = kind in ("bought", "converted") and b["purchase"]["option"] == "subscription"
            resized = any(e.get("instance") == event.get("instance") and e["body"]["event"] == "resized" for e in of["events"])
            if not (months or kind == "renewed") or resized:
                continue
            at = b["since"] if b.get("auto") else event["at"]
            for item in ("subscription system-disk", f"subscription {bought(of, event['instance'])}"):
                until_then = [n for n, one in enumerate(of["catalog"]["prices"])
                              if one["item"] == item and ("from" not in one or second(one["from"]) <= second(at))]
                yield until_then[-1]

    yield from copies("a month is a millionth dearer in the book", months_entries, dearer_entry)
    yield from copies("a new price is left out of the log", events("price-changed"), lambda of, n: of["events"].pop(n))
    yield from copies("a new price is told as of another second", events("price-changed"), lambda of, n: shift(body(of, n), "since", 1))
    yield from copies("a new price is told a millionth higher", events("price-changed"), lambda of, n: dearer(body(of, n)))
    yield from copies("nobody was told before of a new price", events("price-changes"), lambda of, n: of["events"].pop(n))
    yield from copies("a new price is told of twice", events("price-changes"),
                      lambda of, n: of["events"].insert(n + 1, dict(of["events"][n], id=of["events"][n]["id"] + "x")))
    yield from copies("another price is told of before", events("price-changes"), lambda of, n: dearer(body(of, n)["prices"][0]))
    yield from copies("a new price is told of for another second", events("price-changes"), lambda of, n: shift(body(of, n), "from", 1))
    yield from copies("the log is told in another order", events("bought"),
                      lambda of, n: of["events"].insert(0, of["events"].pop(n)))


def spread(places, count):
    """A few of many: the first, the last, and some between."""
    if len(places) <= count:
        return places
    return [places[n * (len(places) - 1) // (count - 1)] for n in range(count)]


def self_test(dump):
    """Gives the tamperings that were not found, and how many were tried; on all cores."""
    cores = os.cpu_count() or 1
    with multiprocessing.get_context("fork").Pool(cores) as pool:
        parts = pool.starmap(falsify, [(dump, part, cores) for part in range(cores)])
    tried = [name for names, _ in parts for name in names]
    return {name: tried.count(name) for name in tried}, [name for _, missed in parts for name in missed]


def falsify(dump, part, parts):
    """One part of the tamperings, every so many of them: which, and which of them were not found."""
    tried, missed = [], []
    for n, (name, false) in enumerate(tamperings(dump)):
        if n % parts != part:
            continue
        tried.append(name)
        try:
            seen = bool(check(false, first=True))
        except (Enough, KeyError, ValueError):
            seen = True  # a dump that cannot even be read is found, too
        if not seen:
            missed.append(name)
    return tried, missed


def main():
    arguments = argparse.ArgumentParser(description="Recomputes every bill record of a dump of `ebb demo --lives`.")
    arguments.add_argument("dump", help="the file that --dump wrote; - for standard input")
    arguments.add_argument("--self-test", action="store_true", help="falsify copies of the dump; each must be found")
    arguments.add_argument("--all", action="store_true", help="name every difference, not only the first")
    options = arguments.parse_args()
    with sys.stdin if options.dump == "-" else open(options.dump, encoding="utf-8") as file:
        dump = json.load(file)
    if dump.get("format") != 1:
        sys.exit(f"{options.dump} is not a dump of format 1 of `ebb demo --lives`")

    found = check(dump)
    for thing, what in found if options.all else found[:1]:
        print(f"{thing}: {what}")
    records = sum(len(books["bill"]["records"]) for books in dump["accounts"])
    if found:
        sys.exit(f"{len(found)} differences in {records} records of {len(dump['accounts'])} accounts")
    print(f"{records} records of {len(dump['accounts'])} accounts follow from {len(dump['events'])} events.")
    if options.self_test:
        tried, missed = self_test(dump)
        for name in missed:
            print(f"not found: {name}")
        if missed:
            sys.exit(f"{len(missed)} of {sum(tried.values())} falsifications were not found")
        print(f"All {sum(tried.values())} falsifications of {len(tried)} kinds were found.")


if __name__ == "__main__":
    main()
