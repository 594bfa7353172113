-- The highest outbox number heard of each sender: a sender that is behind it was restored from a backup.
CREATE TABLE heard_sender (
    -- The service.
    sender TEXT NOT NULL PRIMARY KEY,
    -- Its highest number in a message that was handled here.
    number BIGINT NOT NULL
);
