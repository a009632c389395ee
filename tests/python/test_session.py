"""Trades against a running Hashpit, breaks its own connection, and checks what it is told then.

    python3 test_session.py --proto-root DIR --address 127.0.0.1:PORT
        --maker-key FILE --taker-key FILE --maker-account N --taker-account N
"""

import argparse
import sys
import time

from hashpit_client import Api, Client, Code, Key, Refused, Session

TRADING, MARKET_DATA = "trading.v1.TradingService", "marketdata.v1.MarketDataService"
GRACE_MS = 20_000
passed = 0


def check(statement, holds, seen=""):
    """One line per checked statement; the first false one ends the test."""
    global passed
    if not holds:
        raise AssertionError(f"{statement}\n  seen: {seen}")
    passed += 1
    print(f"ok {passed:2} {statement}")


def refused(client, method, **fields):
    try:
        client.call(method, **fields)
    except Refused as refusal:
        return refusal
    raise AssertionError(f"{method} must be refused, and was not: {fields}")


def find_market(client):
    """An open forward, and a price inside its band that nobody rests at and nobody beats."""
    api = client.api
    listing = client.call("reference.v1.ReferenceService/ListInstruments", page_size=1000)
    listed = [i for i in listing.instruments if i.symbol.startswith("BTC-FWD-")]
    forwards = [i for i in listed if i.state == api.common.TRADING_STATE_OPEN]
    check("an open forward is listed", forwards, [(i.symbol, i.state) for i in listed])
    cash = api.reference.SETTLEMENT_KIND_CASH_DAILY_INDEX  # needs no attested capacity to sell
    instrument = min(forwards, key=lambda i: (i.settlement != cash, i.instrument_id))
    ids = [instrument.instrument_id]
    wanted = dict(subscription_id=1, channel=api.marketdata.CHANNEL_STATISTICS, instrument_ids=ids)
    request, subscribe = client.bind(client.channel.unary_stream, f"{MARKET_DATA}/Subscribe")
    stream = subscribe(request(subscriptions=[wanted]), timeout=10)
    band = next(u.statistics for response in stream for u in response.updates
                if u.HasField("statistics") and u.statistics.HasField("band_low_ticks"))
    stream.cancel()
    book = client.call(f"{MARKET_DATA}/GetBook", instrument_id=ids[0]).book
    low = max([band.band_low_ticks] + [level.price_ticks + 1 for level in book.bids])
    high = min([band.band_high_ticks] + [level.price_ticks - 1 for level in book.asks])
    check(f"{instrument.symbol} has room for a best bid", low <= high, f"{low} > {high}")
    return instrument, (low + high) // 2, band.band_low_ticks


def run(options):
    api = Api(options.proto_root)
    trading = api.trading
    accepted, filled = trading.ORDER_EVENT_KIND_ACCEPTED, trading.ORDER_EVENT_KIND_FILL
    maker = Client(api, options.address, Key(options.maker_key))
    taker = Client(api, options.address, Key(options.taker_key))
    instrument, best, floor = find_market(maker)
    unit, run_id = max(1, instrument.min_lots), time.time_ns()

    def order(number, **fields):
        return dict(client_order_id=run_id + number, instrument_id=instrument.instrument_id,
                    order_type=trading.ORDER_TYPE_LIMIT, **fields)

    def bid(number, lots=1):  # number 0 is the best price, the others rest below it
        return order(number, side=api.common.SIDE_BUY, time_in_force=trading.TIME_IN_FORCE_GTC,
                     price_ticks=max(floor, best - number), quantity_lots=lots * unit,
                     post_only=trading.POST_ONLY_REJECT)

    def take(number, lots):  # the taker account sells into the best bid
        sale = dict(account_id=options.taker_account, order=order(
            100 + number, side=api.common.SIDE_SELL, time_in_force=trading.TIME_IN_FORCE_IOC,
            price_ticks=best, quantity_lots=lots * unit))
        answer = taker.call(f"{TRADING}/SubmitOrder", **sale)
        check(f"taker: sale {number} is accepted, then filled",
              [event.kind for event in answer.events] == [accepted, filled], answer)
        return sale, answer

    def told(session, seq, kind):
        answer = session.wait(f"answer to client_seq {seq}", lambda e: e.client_seq == seq)
        name = trading.OrderEventKind.Name(kind).removeprefix("ORDER_EVENT_KIND_")
        check(f"client_seq {seq} is answered {name}", answer.order.kind == kind, answer)
        return answer.order

    def fills(events):
        return [e for e in events if e.order.kind == filled]

    # Rest, fill, repeat, and ask for what is not yours.
    login = dict(name=f"resume-{run_id:x}", grace_ms=GRACE_MS)
    session = Session(maker, options.maker_account, **login)
    first = session.connect()
    check("a new session starts at client_seq 1", first.next_client_seq == 1, first)
    check("the grace is 20 s as asked", first.disconnect_grace_ms == GRACE_MS, first)
    resting = [told(session, session.send(new_order=bid(0, 5)), accepted)]
    resting += [told(session, session.send(new_order=bid(n)), accepted) for n in (1, 2)]
    sale, answer = take(1, 2)
    fill = session.wait("the maker's fill", lambda e: e.order.kind == filled)
    check("both sides are told one trade_id and journal_seq", (fill.order.fill.trade_id,
          fill.journal_seq) == (answer.events[1].fill.trade_id, answer.journal_seq), (fill, answer))
    check("the resting order keeps its remainder", fill.order.open_lots == 3 * unit, fill)
    again = taker.call(f"{TRADING}/SubmitOrder", **sale)
    again.replayed, marked = False, again.replayed
    check("a repeated client_order_id returns the original result", again == answer, again)
    check("and marks it replayed", marked, again)
    sale["order"]["quantity_lots"] += unit
    refusal = refused(taker, f"{TRADING}/SubmitOrder", **sale)
    check("the same id with other content is refused", refusal.code == Code.ALREADY_EXISTS
          and refusal.reason == "DUPLICATE_CLIENT_ORDER_ID", refusal)
    twin = told(session, session.send(new_order=bid(1)), accepted)
    check("the session's repeat names the first order", twin.order_id == resting[1].order_id, twin)
    refusal = refused(taker, f"{TRADING}/GetOrder", account_id=options.maker_account,
                      order_id=resting[0].order_id)
    check("another account's order cannot be read", refusal.code == Code.PERMISSION_DENIED, refusal)
    check("the refusal is ours: ErrorInfo of domain hashpit", refusal.domain == "hashpit", refusal)
    third = resting[2].order_id
    seq = session.send(replace=dict(order_id=third, quantity_lots=2 * unit))
    moved = told(session, seq, trading.ORDER_EVENT_KIND_REPLACED)
    check("more quantity loses priority", moved.priority_lost, moved)
    told(session, session.send(cancel=dict(order_id=third)), trading.ORDER_EVENT_KIND_CANCELLED)

    # Break the connection with commands in flight, trade meanwhile, resume.
    in_flight = [session.send(new_order=bid(n)) for n in (3, 4, 5)]
    told(session, in_flight[0], accepted)  # of the others nobody knows how far they came
    session.drop()
    away = [take(number, 1)[1] for number in (2, 3)]
    seen_before = session.last_event_seq
    resumed = session.connect()
    check("the disconnect action has not run", not resumed.disconnect_action_ran, resumed)
    by_then = [e for e in session.events if e.event_seq <= resumed.last_event_seq]
    had_effect = {e.client_seq for e in by_then}.intersection(in_flight)
    check("next_client_seq counts exactly the commands that had effect",
          resumed.next_client_seq == in_flight[0] + len(had_effect), (resumed, had_effect))
    missed = [e for e in by_then if e.event_seq > seen_before]
    check("everything missed is marked replayed", all(e.replayed for e in missed), missed)
    check("the fills while away are delivered, once each, in order",
          [(e.order.fill.trade_id, e.journal_seq) for e in fills(missed)] ==
          [(answer.events[1].fill.trade_id, answer.journal_seq) for answer in away], missed)
    for seq in in_flight[1:]:
        told(session, seq, accepted)
    ids = [e.order.client_order_id for e in session.events if e.order.kind == accepted]
    check("each order in flight entered the book once",
          all(ids.count(run_id + number) == 1 for number in (3, 4, 5)), ids)

    # Nothing in flight: the numbers are known beforehand.
    session.drop()
    expected = session.next_client_seq, session.last_event_seq
    quiet = session.connect()
    check("after a quiet break next_client_seq is the next one",
          (quiet.next_client_seq, quiet.last_event_seq) == expected, (quiet, expected))
    numbers = [e.event_seq for e in session.events]
    check("every event came once, in order, without a gap",
          numbers == list(range(1, quiet.last_event_seq + 1)), numbers)
    listed = maker.call(f"{TRADING}/ListFills", account_id=options.maker_account,
                        order_id=resting[0].order_id).fills
    check("the fill query knows the same trades", [f.fill.trade_id for f in listed] ==
          [e.order.fill.trade_id for e in fills(session.events)], listed)

    # A second login takes over.
    second = Session(maker, options.maker_account, **login)
    takeover = second.connect()
    session.wait_until("end of the fenced stream", lambda: session.stopped)
    check("the first login is told SESSION_FENCED", session.terminated and
          session.terminated.problem.reason == api.common.REASON_SESSION_FENCED, session.terminated)
    check("the first stream ends with ABORTED", session.status == Code.ABORTED, session.status)
    check("the second goes on with the first's numbers",
          (takeover.next_client_seq, takeover.last_event_seq) == expected, takeover)
    images = sorted(image.instructions.client_order_id - run_id for image in second.images)
    check("the second sees the open orders", images == [0, 1, 3, 4, 5], second.images)
    second.send(mass_cancel=dict(this_session_only=True))
    done = second.wait("MassCancelDone", lambda e: e.HasField("mass_cancel_done"))
    check("mass cancel finds all five", done.mass_cancel_done.cancelled_orders == 5, done)
    second.send(terminate={})
    second.wait_until("end of the stream", lambda: second.stopped)
    check("an orderly logout ends with OK", second.status == Code.OK, second.status)
    left = maker.call(f"{TRADING}/ListOpenOrders", account_id=options.maker_account).orders
    mine = [o for o in left if o.order_id in {e.order.order_id for e in session.events}]
    check("no order of this test is left", not mine, mine)


def main():
    parser = argparse.ArgumentParser()
    for name in ("proto-root", "address", "maker-key", "taker-key"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("maker-account", "taker-account"):
        parser.add_argument(f"--{name}", required=True, type=int)
    try:
        run(parser.parse_args())
    except Exception as failure:
        print(f"FAILED {type(failure).__name__}: {failure}\n{passed} passed, 1 failed")
        sys.exit(1)
    print(f"{passed} passed, 0 failed")


if __name__ == "__main__":
    main()
