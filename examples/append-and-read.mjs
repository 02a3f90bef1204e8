#!/usr/bin/env node
// append-and-read.mjs FILE: appends a message file to INBOX over IMAP, fetches the newest message back, and prints what
// it says and its source. Settings come from the environment:
//   IMAP_HOST (127.0.0.1)  IMAP_PORT (9993)  IMAP_SECURE (true; false: STARTTLS)  IMAP_USER  IMAP_PASSWORD
import { readFile } from 'node:fs/promises';
import { ImapFlow } from 'imapflow';
import { simpleParser } from 'mailparser';

const [file] = process.argv.slice(2);
if (!file || !process.env.IMAP_USER) {
    console.error('usage: IMAP_USER=you@example.com IMAP_PASSWORD=… node append-and-read.mjs FILE');
    process.exit(2);
}

const client = new ImapFlow({
    host: process.env.IMAP_HOST ?? '127.0.0.1',
    port: Number(process.env.IMAP_PORT ?? 9993),
    secure: (process.env.IMAP_SECURE ?? 'true') === 'true',
    auth: { user: process.env.IMAP_USER, pass: process.env.IMAP_PASSWORD ?? '' },
    tls: { rejectUnauthorized: false }, // the certificate of a first start is self-signed
    logger: false,
});

await client.connect();
const appended = await client.append('INBOX', await readFile(file), ['\\Seen']);
const lock = await client.getMailboxLock('INBOX');
try {
    const message = await client.fetchOne('*', { uid: true, flags: true, envelope: true, source: true });
    const parsed = await simpleParser(message.source);
    console.log(`uid:         ${message.uid} (APPEND said ${appended.uid})`);
    console.log(`flags:       ${[...message.flags].join(' ')}`);
    console.log(`subject:     ${parsed.subject ?? ''}`);
    console.log(`from:        ${parsed.from?.text ?? ''}`);
    console.log(`to:          ${parsed.to?.text ?? ''}`);
    console.log(`date:        ${parsed.date?.toISOString() ?? ''}`);
    for (const attachment of parsed.attachments)
        console.log(`attachment:  ${attachment.filename ?? '(no name)'} ${attachment.contentType} ${attachment.size} bytes`);
    console.log(`text:\n${parsed.text ?? ''}`);
    console.log('source:');
    process.stdout.write(message.source);
} finally {
    lock.release();
}
await client.logout();
