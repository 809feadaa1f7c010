//! Does a tenant find all that he needs around his machines? A site with a balancer, a game, disks and images, with real guests on
//! three hosts of two regions, and nothing of it is left when it is over.

mod asked;
mod hosts;
mod servers;

use crate::api::{Client, text, wait_for};
use crate::books::{self, Purchases};
use crate::world::{Directory, World};
use asked::{datagram, page, printed, typed};
use hosts::{Cable, Lender};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Command;

const CATALOG: &str = include_str!("surroundings/catalog.toml");

#[test]
fn a_site_a_game_and_a_branch_with_real_guests() {
    let cable = Cable::between(3);
    let directory = Directory::new();
    let lend = |n, name, zone| Lender::start(directory.path(), n, name, zone);
    let lenders = [lend(0, "one", "here-a"), lend(1, "two", "here-b"), lend(2, "three", "there-a")];
    let sockets = lenders.each_ref().map(Lender::socket);
    let world = World::over(directory, CATALOG, &sockets);
    let operator = world.operator();
    wait_for("all hosts are there", || {
        let hosts = operator.get("/v1/hosts");
        let there = hosts["items"].as_array().expect("hosts").iter().filter(|host| host["connected"] == true).count();
        (there == lenders.len()).then_some(()).ok_or(hosts.to_string())
    });
    let (ada, eve) = (operator.tenant("Ada"), operator.tenant("Eve"));
    let mut town = Town { ada: &ada, eve: &eve, bought: Purchases::new() };

    let site = town.builds();
    site.is_seen_from_outside();
    site.is_reached_by_nobody_else(&town);
    site.loses_a_server(&town);
    site.hands_a_disk_on(&town);
    town.brings_an_image(&world);
    town.opens_a_branch(&site);
    town.leaves();
    is_billed(&ada.get("/v1/bills"));
    books::check(&world, &town.bought);
    lenders.into_iter().for_each(Lender::leaves_no_trace);
    drop(cable);
}

/// Who lives here, and what they have bought.
struct Town<'a> {
    ada: &'a Client<'a>,
    eve: &'a Client<'a>,
    bought: Purchases,
}

struct Server {
    id: String,
    address: String,
    public: Option<String>,
}

/// What Ada has built, and two who are not of it: her own of another region, and another's of this one.
struct Site {
    database: Server,
    web: [Server; 2],
    balancer: Server,
    game: Server,
    elsewhere: Server,
    stranger: Server,
}

impl Town<'_> {
    fn buys(&mut self, who: &Client<'_>, zone: &str, name: &str, more: Value) -> Server {
        let mut order = json!({
            "option": "on-demand", "flavor": "small", "zone": zone, "name": name, "keep_public_ip": false
        });
        let fields = more.as_object().expect("fields of an order").clone();
        order.as_object_mut().expect("an order").extend(fields);
        let bought = who.post("/v1/instances", order);
        let id = text(&bought["id"]);
        assert!(self.bought.entry(who.account.clone()).or_default().insert(id.clone()), "{id} was sold twice");
        let public = bought["public_addresses"][0]["ip"].as_str().map(str::to_owned);
        Server { id, address: text(&bought["private_address"]), public }
    }

    /// All of it by user-data: who must know an address is told it there.
    fn builds(&mut self) -> Site {
        let (ada, eve) = (self.ada, self.eve);
        for (name, protocol, ports) in [("web", "tcp", "80"), ("game", "udp", "7777")] {
            let rules = json!([{ "protocol": protocol, "ports": ports }]);
            ada.post("/v1/security-groups", json!({ "name": name, "rules": rules }));
        }
        let database = self.buys(ada, "here-b", "database", json!({ "user_data": servers::DATABASE }));
        let script = servers::web(&database.address);
        let web = ["web-1", "web-2"].map(|name| self.buys(ada, "here-a", name, json!({ "user_data": script })));
        let script = servers::balancer([&web[0].address, &web[1].address]);
        let open = json!({ "user_data": script, "public_ip": true, "security_groups": ["web"] });
        let balancer = self.buys(ada, "here-a", "balancer", open);
        let open = json!({
            "user_data": servers::GAME, "public_ip": true, "public_ip_mbit": 2, "security_groups": ["game"]
        });
        let game = self.buys(ada, "here-a", "game", open);
        let elsewhere = self.buys(ada, "there-a", "elsewhere", json!({}));
        let stranger = self.buys(eve, "here-a", "stranger", json!({ "public_ip": true }));
        let site = Site { database, web, balancer, game, elsewhere, stranger };
        printed(ada, &site.database.id, "database-is-there");
        site.web.iter().for_each(|server| printed(ada, &server.id, "page-is-there"));
        printed(ada, &site.balancer.id, "site-is-there");
        printed(ada, &site.game.id, "game-is-there");
        printed(ada, &site.elsewhere.id, "ebb-guest: ready");
        printed(eve, &site.stranger.id, "ebb-guest: ready");
        site
    }

    /// What is not what it was said to be is refused; what is, boots.
    fn brings_an_image(&mut self, world: &World) {
        let path = |name: &str| world.directory.path().join(name).display().to_string();
        std::fs::write(path("disk.raw"), speaking("a word from the disk\r\n")).expect("a file of ours");
        let (raw, qcow2) = (path("disk.raw"), path("disk.qcow2"));
        let made = Command::new("qemu-img").args(["convert", "-f", "raw", "-O", "qcow2", &raw, &qcow2]).status();
        assert!(made.expect("qemu-img").success());
        let other = "0".repeat(64);
        let import = ["images", "import", &qcow2, "--name", "wrong", "--sha256", &other];
        let refused = self.ada.command(&import).output().expect("ebb");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains("no image was made of it: "), "{said}");
        let taken =
            self.ada.command(&["--json", "images", "import", &qcow2, "--name", "golden"]).output().expect("ebb");
        let image: Value = serde_json::from_slice(&taken.stdout).unwrap_or_else(|e| panic!("{e}: {taken:?}"));
        let ada = self.ada;
        let booted = self.buys(ada, "here-a", "golden", json!({ "image": image["id"] }));
        printed(ada, &booted.id, "a word from the disk");
    }

    /// The database goes on as a copy in another region: an image of its disk is made on one host and used on another.
    fn opens_a_branch(&mut self, site: &Site) {
        let ada = self.ada;
        let rows = typed(ada, &site.database.id, "sync; cat /data/rows");
        assert!(rows.parse::<u32>().is_ok_and(|rows| rows > 4), "{rows}");
        let origin = json!({ "from": "system-disk", "instance": site.database.id });
        let image = text(&ada.post("/v1/images", json!({ "name": "branch", "origin": origin }))["id"]);
        until(ada, &format!("/v1/images/{image}"), "available");
        let order = json!({ "image": image, "user_data": servers::DATABASE });
        let branch = self.buys(ada, "there-a", "branch", order);
        printed(ada, &branch.id, "database-is-there");
        assert_eq!(typed(ada, &branch.id, "cat /data/rows"), rows);
        // Not of the same region: it is the copy that answers there.
        let ask = format!("echo me | nc -w 5 {} 5432", branch.address);
        let next: u32 = rows.parse::<u32>().expect("a number") + 1;
        assert_eq!(typed(ada, &site.elsewhere.id, &ask), format!("row {next} for me"));
    }

    /// Everything is given back.
    fn leaves(&self) {
        for who in [self.ada, self.eve] {
            let live = who.all("/v1/instances?state=live");
            live.iter().for_each(|one| drop(who.delete(&text(&one["id"])).expect("it is theirs")));
            live.iter().for_each(|one| who.until(&text(&one["id"]), "released"));
            for (what, over) in [("disks", "deleted"), ("images", "deleted")] {
                for one in who.all(&format!("/v1/{what}")).iter().filter(|one| one["state"] == "available") {
                    let path = format!("/v1/{what}/{}", text(&one["id"]));
                    who.ask("DELETE", &path, Value::Null).expect("nobody has it");
                    until(who, &path, over);
                }
            }
            assert_eq!(who.all("/v1/addresses"), Vec::<Value>::new());
        }
    }
}

impl Site {
    /// Both web servers in turn, and what they say comes from the database; the game answers as well, by its port and no other.
    fn is_seen_from_outside(&self) {
        let ip = self.balancer.public.as_ref().expect("an address of its own");
        let pages: Vec<String> = (0..4).map(|_| page(ip, "/cgi-bin/site")).collect();
        let row = |page: &str| page.split("row ").nth(1)?.split(' ').next()?.parse::<u32>().ok();
        let first = row(&pages[0]).unwrap_or_else(|| panic!("{pages:?}"));
        let turn = |n: u32| format!("web-{0} has row {1} for web-{0}", n % 2 + 1, first + n);
        assert_eq!(pages, (0..4).map(turn).collect::<Vec<_>>());
        let game = self.game.public.as_ref().expect("another");
        assert_eq!(datagram(game, 7777, "a move", 30).as_deref(), Some("played a move"));
        assert_eq!(datagram(game, 7778, "a move", 2), None);
        assert_eq!(datagram(ip, 7777, "a move", 2), None);
    }

    /// A private address means something to the account's own in the region, on whatever host they are, and to nobody else.
    fn is_reached_by_nobody_else(&self, town: &Town<'_>) {
        let (ada, eve) = (town.ada, town.eve);
        let try_both = |to: &str, port: u16| {
            format!(
                "ping -c 1 -W 3 {to} >/dev/null 2>&1 && echo pings; echo me | nc -w 4 {to} {port} 2>/dev/null | head -n 1"
            )
        };
        let own = typed(ada, &self.web[0].id, &try_both(&self.database.address, 5432));
        assert!(own.contains("pings") && own.contains("for me"), "{own}");
        let gateway = |range: &str| format!("ping -c 1 -W 3 {range}.0.1 >/dev/null && echo pings");
        for (who, from, range) in [(ada, &self.elsewhere, "10.65"), (eve, &self.stranger, "10.64")] {
            assert_eq!(typed(who, &from.id, &gateway(range)), "pings", "its own network is there");
            for (to, port) in [(&self.database, 5432), (&self.web[0], 80), (&self.balancer, 80)] {
                assert_eq!(
                    typed(who, &from.id, &try_both(&to.address, port)),
                    "",
                    "{} by {}",
                    to.address,
                    from.address
                );
            }
            assert_eq!(typed(ada, &self.web[0].id, &try_both(&from.address, 22)), "");
        }
        let ip = self.balancer.public.as_ref().expect("an address of its own");
        let seen = typed(eve, &self.stranger.id, &format!("timeout 20 wget -q -O - http://{ip}/cgi-bin/site"));
        assert!(seen.contains(" has row "), "by its public address it is everybody's: {seen}");
    }

    fn loses_a_server(&self, town: &Town<'_>) {
        town.ada.delete(&self.web[0].id).expect("it is Ada's");
        town.ada.until(&self.web[0].id, "released");
        let ip = self.balancer.public.as_ref().expect("an address of its own");
        let pages: Vec<String> = (0..3).map(|_| page(ip, "/cgi-bin/site")).collect();
        assert!(pages.iter().all(|page| page.starts_with("web-2 has row ")), "{pages:?}");
    }

    /// What one guest wrote on a disk, another one reads.
    fn hands_a_disk_on(&self, town: &Town<'_>) {
        let ada = town.ada;
        let disk = text(&ada.post("/v1/disks", json!({ "zone": "here-a", "gib": 1, "name": "ledger" }))["id"]);
        let path = format!("/v1/disks/{disk}");
        until(ada, &path, "available");
        let there = "for n in 1 2 3 4 5 6 7 8 9; do [ -b /dev/vdb ] && break; sleep 1; done";
        for (server, command) in [
            (&self.web[1], "echo what Ada wrote | dd of=/dev/vdb conv=fsync 2>/dev/null; sync; head -n 1 /dev/vdb"),
            (&self.balancer, "head -n 1 /dev/vdb"),
        ] {
            ada.post(&format!("{path}/attach"), json!({ "instance": server.id }));
            until(ada, &path, "attached");
            assert_eq!(typed(ada, &server.id, &format!("{there}; {command}")), "what Ada wrote");
            ada.post(&format!("{path}/detach"), Value::Null);
            until(ada, &path, "available");
        }
    }
}

fn until(who: &Client<'_>, path: &str, state: &str) {
    wait_for(&format!("{path} is {state}"), || {
        let now = who.get(path);
        (now["state"] == state).then_some(()).ok_or(now.to_string())
    });
}

/// Each thing that was used is there, at its price and by its seconds.
fn is_billed(bill: &Value) {
    let lines = || ["records", "accruing"].into_iter().flat_map(|part| bill[part].as_array().expect("lines"));
    let units = |value: &Value, digits: usize| {
        let text = text(value);
        let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
        format!("{whole}{part:0<digits$}").parse::<i64>().expect("a number")
    };
    for line in lines() {
        let exact = line["seconds"].as_i64().expect("seconds") * units(&line["price"], 8);
        let shown = units(&line["amount"], 8) * 3_600;
        assert!((shown - exact).abs() <= 1_800, "{line}");
    }
    let paid = lines().filter(|line| units(&line["amount"], 8) > 0).map(|line| text(&line["meter"]));
    let meters = ["bandwidth", "compute", "data-disk", "system-disk"].map(str::to_owned);
    assert_eq!(paid.collect::<BTreeSet<_>>(), BTreeSet::from(meters), "{bill}");
    let sent = ["traffic", "traffic_accruing"].into_iter().filter_map(|part| bill[part].as_array()).flatten();
    assert!(sent.map(|line| units(&line["quantity"], 9)).sum::<i64>() > 0, "{bill}");
}

/// A disk whose first sector says a word on the serial port, and nothing after that.
fn speaking(word: &str) -> Vec<u8> {
    // xor ax, ax; mov ds, ax; mov dx, 0x3f8; mov si, 0x7c15; again: lodsb; or al, al; jz end; out dx, al; jmp again; end: hlt
    let code = b"\x31\xc0\x8e\xd8\xba\xf8\x03\xbe\x15\x7c\xac\x08\xc0\x74\x03\xee\xeb\xf8\xf4\xeb\xfd";
    let mut disk = vec![0; 1 << 20];
    disk[..code.len()].copy_from_slice(code);
    disk[code.len()..code.len() + word.len()].copy_from_slice(word.as_bytes());
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk
}
