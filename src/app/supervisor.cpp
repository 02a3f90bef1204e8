#include "app/supervisor.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <list>
#include <nlohmann/json.hpp>
#include <optional>

#include "app/metrics_sum.hpp"
#include "base/log.hpp"
#include "base/metrics.hpp"

namespace mallard::app {

namespace {

using Clock = std::chrono::steady_clock;

enum class State { starting, ready, stopping };

struct Worker {
    std::unique_ptr<WorkerProcess> process;
    std::size_t slot;
    unsigned generation;  // of its plan
    std::string name;     // "2 imap+pop3"
    State state = State::starting;
    bool was_ready = false;
    Clock::time_point since;     // of its state
    Clock::time_point deadline;  // of its state, but not of ready
    bool killed = false;
    std::string failure;   // what it said of itself
    std::string counted;   // its metrics, as it told them last
    bool reports = false;  // has been asked for them
};

struct Slot {
    unsigned failures = 0;
    Clock::time_point not_before;
};

void say(LogLevel level, Worker const& worker, std::string_view what, std::string_view reason = {}) {
    std::vector<LogField> fields{{"worker", worker.name}, {"pid", std::to_string(worker.process->pid())}};
    if (!reason.empty()) fields.push_back({"reason", std::string(reason)});
    log(level, {"supervisor"}, what, fields);
}

void count_reload(std::string_view result) { metrics::counter("mallard_reloads_total", {{"result", result}}).add(); }

void refuse_reload(std::string const& reason) {
    count_reload("failed");
    log(LogLevel::error, {"supervisor"}, "reload failed, the old configuration stays in force", {{"error", reason}});
}

}  // namespace

struct Supervisor::Impl {
    std::vector<std::string> program;
    int requests;
    SupervisorTiming timing;
    std::function<Result<Plan>()> replan;
    std::function<void()> serving;

    Plan plan;
    unsigned generation = 1;
    std::optional<Plan> trial;  // of generation + 1, while its first worker starts
    bool proved = false;        // a worker of the first plan has been ready
    bool roll_wanted = false;
    bool stopping = false;
    std::optional<Error> failure;  // of the first worker
    std::list<Worker> workers;
    std::vector<Slot> slots;

    std::string ended;  // counters of those that are gone, as metrics
    std::vector<pid_t> askers;
    Clock::time_point reports_deadline;

    Worker* find(std::size_t slot, auto const& fits) {
        auto const it = std::ranges::find_if(workers, [&](Worker& w) { return w.slot == slot && fits(w); });
        return it == workers.end() ? nullptr : &*it;
    }
    bool any(State state) const {
        return std::ranges::any_of(workers, [&](Worker const& w) { return w.state == state; });
    }
    bool rolls() const {
        return trial || std::ranges::any_of(workers, [&](Worker const& w) { return w.generation < generation; });
    }

    void start(std::size_t slot, Plan const& from, unsigned of_generation);
    void fail_slot(std::size_t slot, std::string const& name, std::string const& reason, bool steady);
    void retire(Worker& worker);
    void begin_roll();
    void reconcile();
    void reconcile_slot(std::size_t slot);

    void take_requests();
    void on_message(Worker& worker, Json const& message);
    void on_ready(Worker& worker);
    void on_end(Worker& worker);
    void on_time();
    void finish_reports();
    std::string sum() const;

    std::optional<Clock::time_point> next_time() const;
    void wait();
};

void Supervisor::Impl::start(std::size_t slot, Plan const& from, unsigned of_generation) {
    WorkerPlan const& worker_plan = from.workers.at(slot);
    std::string const name = fmt::format("{}{}{}", slot + 1, worker_plan.role.empty() ? "" : " ", worker_plan.role);
    std::vector<std::string> words = program;
    words.insert(words.end(), {"--name", name, "--channel"});
    auto process = WorkerProcess::start(words, worker_plan);
    if (!process) {
        std::string const reason = process.error().message + ": " + process.error().context;
        if (!proved) failure = process.error();
        if (of_generation > generation) {
            trial.reset();
            return refuse_reload(reason);
        }
        return fail_slot(slot, name, reason, false);
    }
    auto const now = Clock::now();
    Worker& worker = workers.emplace_back(Worker{.process = *std::move(process),
                                                 .slot = slot,
                                                 .generation = of_generation,
                                                 .name = name,
                                                 .since = now,
                                                 .deadline = now + timing.start});
    say(LogLevel::debug, worker, "worker starts");
}

// Plans when the slot gets a worker again.
void Supervisor::Impl::fail_slot(std::size_t slot, std::string const& name, std::string const& reason, bool steady) {
    if (slot >= slots.size()) slots.resize(slot + 1);
    Slot& failed = slots[slot];
    if (steady) failed.failures = 0;
    auto const pause =
        std::min(timing.back_off_longest,
                 std::chrono::milliseconds(timing.back_off_first * (1LL << std::min(failed.failures, 20u))));
    ++failed.failures;
    failed.not_before = Clock::now() + pause;
    metrics::counter("mallard_worker_restarts_total").add();
    log(LogLevel::error, {"supervisor"}, "worker ended; another starts after a pause",
        {{"worker", name}, {"reason", reason}, {"pause", fmt::format("{} ms", pause.count())}});
}

void Supervisor::Impl::retire(Worker& worker) {
    say(LogLevel::debug, worker, "worker retires");
    worker.process->send({{"retire", true}});
    worker.state = State::stopping;
    worker.since = Clock::now();
    worker.deadline = worker.since + timing.stop;
}

void Supervisor::Impl::begin_roll() {
    roll_wanted = false;
    auto fresh = replan();
    if (!fresh) return refuse_reload(fresh.error().message);
    log(LogLevel::info, {"supervisor"}, "rolling: new workers take over one by one");
    trial = *std::move(fresh);
    start(0, *trial, generation + 1);
}

void Supervisor::Impl::reconcile_slot(std::size_t slot) {
    Worker* const current =
        find(slot, [&](Worker& w) { return w.generation == generation && w.state != State::stopping; });
    Worker* const old = find(slot, [&](Worker& w) { return w.generation < generation && w.state != State::stopping; });
    if (current != nullptr) {
        if (old != nullptr && current->state == State::ready && !any(State::stopping)) retire(*old);
        return;
    }
    bool const one_at_a_time = old != nullptr && old->state == State::ready;
    if (one_at_a_time && (any(State::stopping) || any(State::starting))) return;
    if (slot < slots.size() && Clock::now() < slots[slot].not_before) return;
    start(slot, plan, generation);
}

// Brings what runs nearer to what should run.
void Supervisor::Impl::reconcile() {
    if (stopping || failure) return;
    if (!proved) {
        if (workers.empty()) start(0, plan, generation);
        return;
    }
    if (roll_wanted && !rolls()) begin_roll();
    for (std::size_t slot = 0; slot < plan.workers.size(); ++slot) reconcile_slot(slot);
    for (Worker& worker : workers)  // the new plan has fewer
        if (worker.slot >= plan.workers.size() && worker.state != State::stopping && !any(State::stopping))
            retire(worker);
}

void Supervisor::Impl::take_requests() {
    char asked[64];
    ssize_t const n = ::read(requests, asked, sizeof asked);
    for (ssize_t i = 0; i < n; ++i) {
        if (asked[i] == static_cast<char>(Request::roll)) roll_wanted = true;
        if (asked[i] != static_cast<char>(Request::stop) || stopping) continue;
        stopping = true;
        trial.reset();
        log(LogLevel::info, {"supervisor"}, "stopping: no new connections, commands in flight finish");
        auto const now = Clock::now();
        for (Worker& worker : workers) {
            worker.process->signal(SIGTERM);
            worker.deadline =
                worker.state == State::stopping ? std::min(worker.deadline, now + timing.stop) : now + timing.stop;
            worker.state = State::stopping;
            worker.since = now;
        }
    }
}

void Supervisor::Impl::on_message(Worker& worker, Json const& message) {
    if (message.contains("ready") && worker.state == State::starting) on_ready(worker);
    if (auto const it = message.find("failed"); it != message.end() && it->is_string()) worker.failure = *it;
    if (auto const it = message.find("counted"); it != message.end() && it->is_string()) {
        worker.counted = *it;
        worker.reports = false;
    }
    if (!message.contains("collect")) return;
    askers.push_back(worker.process->pid());
    if (askers.size() > 1) return;  // under way
    reports_deadline = Clock::now() + timing.metrics;
    for (Worker& other : workers) {
        if (!other.was_ready) continue;
        other.reports = true;
        other.process->send({{"report", true}});
    }
}

void Supervisor::Impl::on_ready(Worker& worker) {
    worker.state = State::ready;
    worker.was_ready = true;
    worker.since = Clock::now();
    say(LogLevel::info, worker, "worker is ready");
    if (!proved) {
        proved = true;
        serving();
    }
    if (!trial || worker.generation <= generation) return;
    plan = *std::move(trial);
    trial.reset();
    ++generation;
    for (Slot& slot : slots) slot = {};
    count_reload("ok");
    log(LogLevel::info, {"supervisor"}, "the new configuration is in force");
}

void Supervisor::Impl::on_end(Worker& worker) {
    for (Json const& message : worker.process->receive()) on_message(worker, message);  // its last words
    std::string const how = worker.process->reap();
    std::string const reason = worker.failure.empty() ? how : worker.failure;
    if (!worker.counted.empty()) {
        MetricsSum counters;
        counters.add_counters(ended);
        counters.add_counters(worker.counted);
        ended = counters.render();
    }
    if (worker.state == State::stopping) {
        say(worker.killed ? LogLevel::warning : LogLevel::info, worker, "worker has stopped", how);
    } else if (!proved) {
        failure = Error{ErrorKind::unavailable, worker.failure.empty() ? "the first worker ended: " + how : reason, {}};
    } else if (worker.generation > generation) {
        refuse_reload(reason);
        trial.reset();
    } else {
        bool const steady = worker.was_ready && Clock::now() - worker.since >= timing.steady;
        fail_slot(worker.slot, worker.name, reason, steady);
    }
    workers.remove_if([&](Worker const& w) { return &w == &worker; });
}

void Supervisor::Impl::on_time() {
    auto const now = Clock::now();
    for (Worker& worker : workers) {
        if (worker.state == State::ready || worker.killed || now < worker.deadline) continue;
        if (worker.state == State::starting)
            worker.failure = fmt::format("was not ready after {} ms", timing.start.count());
        worker.killed = true;
        worker.process->signal(SIGKILL);
    }
    bool const complete = std::ranges::none_of(workers, [](Worker const& w) { return w.reports; });
    if (!askers.empty() && (complete || now >= reports_deadline)) finish_reports();
}

void Supervisor::Impl::finish_reports() {
    Json const answer = {{"metrics", sum()}};
    for (Worker& worker : workers) {
        worker.reports = false;
        auto const asked = std::ranges::count(askers, worker.process->pid());
        for (std::ptrdiff_t i = 0; i < asked; ++i) worker.process->send(answer);
    }
    askers.clear();
}

std::string Supervisor::Impl::sum() const {
    metrics::gauge("mallard_workers")
        .set(static_cast<double>(std::ranges::count(workers, State::ready, [](Worker const& w) { return w.state; })));
    MetricsSum sum;
    for (Worker const& worker : workers) sum.add(worker.counted);
    sum.add_counters(ended);
    sum.add(metrics::render());
    return sum.render();
}

std::optional<Clock::time_point> Supervisor::Impl::next_time() const {
    std::optional<Clock::time_point> next;
    auto const at = [&](Clock::time_point time) { next = next ? std::min(*next, time) : time; };
    for (Worker const& worker : workers)
        if (worker.state != State::ready && !worker.killed) at(worker.deadline);
    auto const now = Clock::now();
    for (Slot const& slot : slots)
        if (!stopping && slot.not_before > now) at(slot.not_before);
    if (!askers.empty()) at(reports_deadline);
    return next;
}

void Supervisor::Impl::wait() {
    std::vector<pollfd> polled{{requests, POLLIN, 0}};
    std::vector<Worker*> whose;
    for (Worker& worker : workers) {
        polled.push_back({worker.process->channel(),
                          static_cast<short>(POLLIN | (worker.process->wants_to_write() ? POLLOUT : 0)), 0});
        polled.push_back({worker.process->end(), POLLIN, 0});
        whose.push_back(&worker);
    }
    int timeout = -1;
    if (auto const next = next_time())
        timeout = static_cast<int>(
            std::max<std::int64_t>(std::chrono::ceil<std::chrono::milliseconds>(*next - Clock::now()).count(), 0));
    if (::poll(polled.data(), polled.size(), timeout) < 0) return;  // EINTR: a signal, whose byte is in the pipe
    if (polled[0].revents != 0) take_requests();
    for (std::size_t i = 0; i < whose.size(); ++i) {
        Worker& worker = *whose[i];
        if ((polled[1 + 2 * i].revents & POLLOUT) != 0) worker.process->flush();
        if ((polled[1 + 2 * i].revents & POLLIN) != 0)
            for (Json const& message : worker.process->receive()) on_message(worker, message);
        if (polled[2 + 2 * i].revents != 0) on_end(worker);
    }
}

Supervisor::Supervisor(std::vector<std::string> program, int requests, SupervisorTiming timing)
    : impl_(std::make_unique<Impl>(Impl{.program = std::move(program), .requests = requests, .timing = timing})) {}

Supervisor::~Supervisor() = default;

Result<void> Supervisor::run(Plan plan, std::function<Result<Plan>()> replan, std::function<void()> serving) {
    Impl& self = *impl_;
    self.plan = std::move(plan);
    self.replan = std::move(replan);
    self.serving = std::move(serving);
    for (;;) {
        self.reconcile();
        if (self.failure) return std::unexpected(*self.failure);
        if (self.stopping && self.workers.empty()) return {};
        self.wait();
        self.on_time();
    }
}

}  // namespace mallard::app
