//! Which command was asked for?

mod accounts;
mod addresses;
mod audit;
mod budget;
mod cap;
mod catalog;
mod client;
mod clock;
mod console;
mod conversion;
mod delivery_args;
mod demo;
mod disks;
mod drills;
mod events;
mod evidence;
mod failure;
mod forecast;
mod host;
mod hosts;
mod images;
mod instances;
mod key_pairs;
mod login;
mod money;
mod offers;
mod profile;
mod question;
mod report;
mod sale;
mod sandbox;
mod security_groups;
mod serve;
mod session;
mod snapshots;
mod ssh;
mod subscriptions;
mod table;
mod trial;
mod up;
mod vouchers;
mod wait;
mod which;
mod zones;

use clap::{CommandFactory, Parser, Subcommand};
use failure::Failure;
use session::Session;
use std::process::ExitCode;

/// A small cloud that sells compute by the second and takes it back when needed.
#[derive(Debug, Parser)]
#[command(name = "ebb", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: profile::Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what is for sale, where, and at which price
    #[command(after_help = "Example:\n  ebb catalog")]
    Catalog(catalog::CatalogArgs),
    /// Show spot blocks by zone and flavor, and how long there is room for them now
    #[command(after_help = "Example:\n  ebb offers --zone cn-beijing-a --flavor c6.large.2")]
    Offers(offers::OffersArgs),
    /// Show what the account may have at most, and what it has
    #[command(after_help = "Example:\n  ebb limits")]
    Limits,
    /// Price an order without placing it
    #[command(after_help = "Example:\n  ebb quote c6.large.2 --spot 3\n  ebb quote c6.large.2 --months 12")]
    Quote(sale::Order),
    /// Buy an instance: on demand, by the month, as a spot block or under the trial
    #[command(
        after_help = "Example:\n  ebb buy c6.large.2 --spot 3 --name web --wait\n  ebb buy c6.large.2 --months 1 --name shop\n  ebb buy c6.large.2 --data-disk 20 --name database"
    )]
    Buy(sale::BuyArgs),
    /// List instances, show one, or say why it was taken or took others
    #[command(subcommand)]
    Instances(instances::Instances),
    /// Shut a guest down; charge goes on, unless it is stopped economically
    #[command(after_help = "Example:\n  ebb stop web --wait\n  ebb stop web --economical")]
    Stop(instances::StopArgs),
    /// Start a stopped guest; after an economical stop it may have to wait for room, or be refused
    #[command(after_help = "Example:\n  ebb start web --wait")]
    Start(instances::One),
    /// Release an instance and its system disk; charge ends at once
    #[command(after_help = "Example:\n  ebb delete web --wait")]
    Delete(instances::DeleteArgs),
    /// Take a spot block back: notice now, release at the deadline, the current period free (operator)
    #[command(after_help = "Example:\n  ebb reclaim web --as operator")]
    Reclaim(instances::ReclaimArgs),
    /// Rehearse interruptions of your blocks, and see how they were taken
    #[command(subcommand)]
    Drills(drills::Drills),
    /// Print what the guest wrote to its serial console
    #[command(after_help = "Example:\n  ebb console-log web")]
    ConsoleLog {
        /// Id, start of an id, or name
        id: String,
    },
    /// Talk to the guest's serial console; Ctrl-] leaves it
    #[command(after_help = "Example:\n  ebb console web")]
    Console {
        /// Id, start of an id, or name
        id: String,
    },
    /// Log in with the system's ssh, through the API
    #[command(after_help = "Example:\n  ebb ssh web -i id_ed25519 -- uptime")]
    Ssh(ssh::SshArgs),
    /// Standard input and output become the guest's port 22
    #[command(hide = true)]
    Tunnel { id: String },
    /// Show cash, vouchers, what is held and for what, debt, and what of this month is settled, accruing and expected
    #[command(after_help = "Example:\n  ebb balance")]
    Balance,
    /// The trial grant: what is left and how long it lasts, and what becomes of it
    #[command(after_help = "Example:\n  ebb trial claim && ebb buy t6.small.1 --trial --name first\n  ebb trial")]
    Trial(trial::TrialArgs),
    /// Coupons and cards: what is left of them, until when, and what they pay for
    #[command(after_help = "Example:\n  ebb vouchers")]
    Vouchers(vouchers::VouchersArgs),
    /// The spending cap: the most that may be payable in a month, and when it acts
    #[command(after_help = "Example:\n  ebb cap")]
    Cap(cap::CapArgs),
    /// The budget: what is meant to be spent in a month; it tells, and stops nothing
    #[command(after_help = "Example:\n  ebb budget")]
    Budget(budget::BudgetArgs),
    /// Show what this month will come to, and how long the money lasts
    #[command(after_help = "Example:\n  ebb forecast")]
    Forecast,
    /// Add up again all that is stored of the account (operator: of everybody), and name what differs
    #[command(after_help = "Example:\n  ebb audit\n  ebb audit --all --as operator")]
    Audit(audit::AuditArgs),
    /// Show bill records, and what accrues until now; or explain one of them
    #[command(after_help = "Example:\n  ebb bill --since 2026-03-01")]
    Bill(money::BillArgs),
    /// Show what happened
    #[command(after_help = "Example:\n  ebb events")]
    Events(events::EventsArgs),
    /// List, add and delete SSH public keys
    #[command(subcommand)]
    KeyPairs(key_pairs::KeyPairs),
    /// Your own system images: brought along, made of disks, shared
    #[command(subcommand)]
    Images(images::Images),
    /// Who is told what happens, by webhook or mail
    #[command(subcommand)]
    Subscriptions(subscriptions::Subscriptions),
    /// Say whose key this is
    #[command(after_help = "Example:\n  ebb whoami")]
    Whoami,
    /// Public addresses: what they lead to, and what left them
    #[command(subcommand)]
    Addresses(addresses::Addresses),
    /// What may come in to instances through their public addresses
    #[command(subcommand)]
    SecurityGroups(security_groups::SecurityGroups),
    /// Data disks, which outlive instances
    #[command(subcommand)]
    Disks(disks::Disks),
    /// Snapshots of disks
    #[command(subcommand)]
    Snapshots(snapshots::Snapshots),
    /// Customers and their API keys
    #[command(subcommand)]
    Accounts(accounts::Accounts),
    /// What accounts were seen with, by which those of one person are known (operator)
    #[command(subcommand)]
    Evidence(evidence::EvidenceCommand),
    /// Machines that lend capacity, as the operator sees them
    #[command(subcommand)]
    Hosts(hosts::Hosts),
    /// Zones, their reserve, and what the operator is short of
    #[command(subcommand)]
    Zones(zones::Zones),
    /// What was promised and what was kept
    #[command(subcommand)]
    Report(report::Report),
    /// Start both halves on this machine, show the main job once, and stay up
    #[command(after_help = "Example:\n  ebb up --stop --data ebb-data")]
    Up(up::UpArgs),
    /// Serve the API over a database and hosts; needs no privilege
    #[command(after_help = "Example:\n  ebb serve --data db --operator-key operator.key --listen 127.0.0.1:0")]
    Serve(serve::ServeArgs),
    /// Lend this machine's capacity: guests, their networks and disks; needs root
    #[command(
        after_help = "Example:\n  ebb host --driver fake --data host --socket host.sock --capacity vcpu=4,memory_mib=8192,disk_gib=100"
    )]
    Host(host::HostArgs),
    /// A throw-away Ebb with fake guests and a clock of its own
    #[command(after_help = "Example:\n  ebb sandbox --seed 7 --speed 3600")]
    Sandbox(sandbox::SandboxArgs),
    /// What time it is; in a sandbox, moving it on
    #[command(subcommand)]
    Clock(clock::ClockCommand),
    /// Play the six bill samples, or random lives, through a running service
    #[command(after_help = "Example:\n  ebb demo --driver fake --json")]
    Demo(demo::DemoArgs),
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  ebb completions bash")]
    Completions { shell: clap_complete::Shell },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.global.json;
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{}", failure.text(json));
            failure.exit_code()
        }
    }
}

/// Commands that need no server go here; the others wait for one in `talk`.
fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Completions { shell } => {
            let mut script = vec![];
            clap_complete::generate(shell, &mut Cli::command(), "ebb", &mut script);
            session::print(&String::from_utf8_lossy(&script))
        }
        Command::Demo(args) => runtime()?.block_on(demo::demo(&args, &cli.global)),
        Command::Up(args) => runtime()?.block_on(up::run(args)),
        Command::Serve(args) => service()?.block_on(serve::run(args)),
        Command::Host(args) => service()?.block_on(host::run(args)),
        Command::Sandbox(args) => service()?.block_on(sandbox::run(args)),
        Command::Catalog(ref args) if let Some(checked) = args.check(&cli.global) => checked,
        command => runtime()?.block_on(async { talk(&Session::open(&cli.global).await?, command).await }),
    }
}

async fn talk(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::Catalog(args) => catalog::catalog(session, &args).await,
        Command::Offers(args) => offers::offers(session, &args).await,
        Command::Limits => offers::limits(session).await,
        Command::Quote(order) => sale::quote(session, &order).await,
        Command::Buy(args) => sale::buy(session, &args).await,
        Command::Instances(command) => instances::instances(session, &command).await,
        Command::Stop(args) => instances::stop(session, &args).await,
        Command::Start(one) => instances::start(session, &one).await,
        Command::Delete(args) => instances::delete(session, &args).await,
        Command::Reclaim(args) => instances::reclaim(session, &args).await,
        Command::Drills(command) => drills::drills(session, &command).await,
        Command::ConsoleLog { id } => instances::console_log(session, &id).await,
        Command::Console { id } => console::console(session, &id).await,
        Command::Ssh(args) => ssh::ssh(session, &args).await,
        Command::Tunnel { id } => console::tunnel(session, &id).await,
        Command::Balance => money::balance(session).await,
        Command::Trial(args) => trial::trial(session, &args).await,
        Command::Vouchers(args) => vouchers::vouchers(session, &args).await,
        Command::Cap(args) => cap::cap(session, &args).await,
        Command::Budget(args) => budget::budget(session, &args).await,
        Command::Forecast => forecast::forecast(session).await,
        Command::Audit(args) => audit::audit(session, &args).await,
        Command::Bill(args) => money::bill(session, &args).await,
        Command::Events(args) => events::events(session, &args).await,
        Command::KeyPairs(command) => key_pairs::key_pairs(session, &command).await,
        Command::Images(command) => images::images(session, &command).await,
        Command::Subscriptions(command) => subscriptions::subscriptions(session, &command).await,
        Command::Whoami => accounts::whoami(session).await,
        Command::Addresses(command) => addresses::addresses(session, &command).await,
        Command::SecurityGroups(command) => security_groups::security_groups(session, &command).await,
        Command::Disks(command) => disks::disks(session, &command).await,
        Command::Snapshots(command) => snapshots::snapshots(session, &command).await,
        Command::Accounts(command) => accounts::accounts(session, &command).await,
        Command::Evidence(command) => evidence::run(session, &command).await,
        Command::Hosts(command) => hosts::hosts(session, &command).await,
        Command::Zones(command) => zones::zones(session, &command).await,
        Command::Report(command) => report::report(session, &command).await,
        Command::Clock(command) => clock::clock(session, &command).await,
        Command::Completions { .. }
        | Command::Demo(_)
        | Command::Up(_)
        | Command::Serve(_)
        | Command::Host(_)
        | Command::Sandbox(_) => unreachable!("they need no server and went their own way"),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Failure::io("the asynchronous runtime"))
}

/// The runtime of what serves others, with its log on standard error (`RUST_LOG` chooses what).
fn service() -> Result<tokio::runtime::Runtime, Failure> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(Failure::io("the asynchronous runtime"))
}
