-- An order's intent never changes, and its state moves along few edges.
CREATE FUNCTION orders_must_move_forward() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF (NEW.ledger_id, NEW.id, NEW.partner_id, NEW.reference, NEW.currency, NEW.amount, NEW.expires_at, NEW.created_at)
       IS DISTINCT FROM
       (OLD.ledger_id, OLD.id, OLD.partner_id, OLD.reference, OLD.currency, OLD.amount, OLD.expires_at, OLD.created_at)
       OR NEW.version <> OLD.version + 1
       OR (OLD.state <> NEW.state AND (OLD.state, NEW.state) NOT IN
           (('OPEN', 'PAID'), ('OPEN', 'EXPIRED'), ('OPEN', 'CANCELLED'), ('PAID', 'REVERSED'))) THEN
        RAISE EXCEPTION 'an order does not go from % to % so', OLD.state, NEW.state
            USING ERRCODE = 'check_violation', CONSTRAINT = 'order_moves_along_an_edge', TABLE = 'orders';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER orders_move_forward BEFORE UPDATE ON orders
    FOR EACH ROW EXECUTE FUNCTION orders_must_move_forward();

-- It begins open, and each of its versions has the event that tells of it: paid once the money is there, reversed or cancelled
-- when none of it is.
CREATE FUNCTION orders_must_begin_open() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT o.id INTO stray
    FROM added AS o
    LEFT JOIN public.order_events AS v ON v.ledger_id = o.ledger_id AND v.order_id = o.id AND v.version = 1
    WHERE (o.version, o.state, v.state, v.event) IS DISTINCT FROM (1, 'OPEN', 'OPEN', 'created')
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'order % does not begin open, at its first version, with its event', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'order_follows_its_allocations', TABLE = 'orders';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER orders_begin_open AFTER INSERT ON orders
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION orders_must_begin_open();

CREATE FUNCTION orders_must_follow_allocations() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT o.id INTO stray
    FROM changed AS o
    LEFT JOIN former AS f ON f.ledger_id = o.ledger_id AND f.id = o.id
    LEFT JOIN public.order_events AS v ON v.ledger_id = o.ledger_id AND v.order_id = o.id AND v.version = o.version
    WHERE v.state IS DISTINCT FROM o.state
       OR f.state IS DISTINCT FROM o.state AND (
           (o.state = 'PAID' AND v.paid < o.amount) OR (o.state IN ('REVERSED', 'CANCELLED') AND v.paid <> 0))
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'order % changes without its event, or without the money that this change stands for', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'order_follows_its_allocations', TABLE = 'orders';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER orders_follow_allocations AFTER UPDATE ON orders
    REFERENCING OLD TABLE AS former NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION orders_must_follow_allocations();

-- What an event says was paid is what the living allocations to its order sum up to.
CREATE FUNCTION order_events_must_tell_a_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    stray bigint;
BEGIN
    SELECT v.order_id INTO stray
    FROM added AS v
    LEFT JOIN public.orders AS o ON o.ledger_id = v.ledger_id AND o.id = v.order_id
    WHERE (v.version, v.state) IS DISTINCT FROM (o.version, o.state)
       OR v.paid <> (
           SELECT coalesce(sum(a.amount), 0) FROM public.allocations AS a
           WHERE a.ledger_id = v.ledger_id AND a.target_kind = 'order' AND a.target_id = v.order_id::text
             AND a.undone_entry_id IS NULL)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'an event of order % tells of a change that was not made, or of other money', stray
            USING ERRCODE = 'check_violation', CONSTRAINT = 'order_event_tells_a_change', TABLE = 'order_events';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER order_events_tell_a_change AFTER INSERT ON order_events
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION order_events_must_tell_a_change();
