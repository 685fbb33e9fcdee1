//! The reasons for missed targets, from `perf record -e cpu-clock -p …` on the server while the
//! scenario ran on one core.

pub(super) const FAN_OUT_SINGLE: &str = "Of 5.0 µs of CPU per delivery (the floor's: 4.6), the \
    kernel takes 4.3 for one `write` (4.1), everything before the `write` 0.3 (0.6: the floor \
    wakes a task per connection), and the commit 0.4, in which three threads pass eight statements \
    to each other, shared by 1,000 receivers. With SQLite in the writing thread, by rusqlite, the \
    commit took 0.28; sea-orm's interface for such a driver, its proxy, does not build beside its \
    SQLite.";

pub(super) const FAN_OUT_MANY: &str = "A `write` costs the kernel 5 µs, and 0.2 µs for each KiB, \
    so the figure depends on the number of frames in one `write`: after a large fan-out a flow \
    waits, and sends later events in one batch (crates/server/src/hub/coalescing.rs). A longer \
    wait would improve the figure and delay deliveries.";

pub(super) const FAN_OUT_PACED: &str = "A message is committed before it is delivered, which the \
    floor does not do: 0.9 ms at the median after 50 ms without messages, of which 0.5 ms is the \
    disk's (on a file system in memory the medians differ by 0.4 ms). The 99th percentile is the \
    time of the slowest two of 120 messages. A faster disk would improve it, or fewer threads \
    between a message and its commit.";

pub(super) const SENDS: &str = "46 µs of CPU per message on one core, where the loop takes 15: \
    SQLite's thread 26, of which a third writes pages to the log, because each sender has a flow, \
    and so a page in three indexes, of its own; connections 16, of which the kernel 7 for a `read` \
    and a `write`; the writing thread 4. One sender that writes to one flow takes 13 altogether \
    (the row of pipelined messages). SQLite in the writing thread took 6 less (tried with \
    rusqlite). Another core for SQLite's thread would improve it, or fewer indexes on messages.";

pub(super) const DECODE: &str = "The parts of a request that outlive its frame are allocated, \
    20 ns each: the text, the new message, the correlation of the response, and in action the \
    request id, which every subscriber receives. Fewer and smaller allocations in the contract \
    between dialects and server would improve it.";

pub(super) const GROWTH: &str = "The data that a `write` touches, above all the kernel's \
    structures of both ends, is 6 KiB and more per connection: that of 1,000 connections stays in \
    the processor's caches, that of 10,000 does not. The floor grows by a factor of 1.36 to 1.46 \
    from 1,000 to 10,000 connections in its one group (load fan-out --subject floor --members \
    10000), from 4.9 to 7.2 µs. The number of flows has no visible effect: 10,000 connections in \
    one flow take 6.5 µs per delivery, in 10,000 flows 6.4. A larger cache would improve it.";

pub(super) const BRIDGE: &str = "The system calls are the proxy's, two reads and two writes for a \
    message and its acknowledgement, and so is most of the time in the kernel. Beside that the \
    bridge executes 50,000 instructions from sndmsg to morelia (callgrind, dist build), where the \
    proxy executes 15,000: a third of them read and write JSON in two dialects, a sixth read and \
    write WebSockets, the rest is spread thinly over two sessions and two tasks. One message at a \
    time finds none of this code in the processor's caches, so that the time differs more than \
    the CPU of 64 connections. Polling the link from the connection's own task was tried, and \
    made no difference.";
