#!/usr/bin/env node
// send.mjs N RCPT…: sends N messages (text, HTML, attachments) to each recipient over LMTP.
//   LMTP_HOST (127.0.0.1)  LMTP_PORT (2424)  MAIL_FROM (sender@example.com)
import nodemailer from 'nodemailer';

const [count, ...recipients] = process.argv.slice(2);
if (!(Number(count) > 0) || recipients.length === 0) {
    console.error('usage: node send.mjs N RECIPIENT…');
    process.exit(2);
}

const transport = nodemailer.createTransport({
    host: process.env.LMTP_HOST ?? '127.0.0.1',
    port: Number(process.env.LMTP_PORT ?? 2424),
    lmtp: true,
    pool: true,
    maxConnections: 4,
    tls: { rejectUnauthorized: false },
});
const pixel = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');

const sent = await Promise.allSettled(
    Array.from({ length: Number(count) }, (_, index) =>
        transport.sendMail({
            from: process.env.MAIL_FROM ?? 'sender@example.com',
            to: recipients,
            subject: `Message ${index + 1} of ${count} ✔`,
            text: `Hello, this is message ${index + 1}.\n`,
            html: '<p>Hello <b>from Mallard’s example</b> <img src="cid:pixel@example.com"></p>',
            attachments: [
                { filename: 'notes.txt', content: 'Some notes about this e-mail' },
                { filename: 'image.png', content: pixel, cid: 'pixel@example.com' },
                { filename: 'swän.png', content: pixel },
            ],
        })));
transport.close();

const failed = sent.filter(result => result.status === 'rejected');
for (const { reason } of failed) console.error(reason.message);
const refused = sent.flatMap(result => result.value?.rejectedErrors ?? []);
for (const error of refused) console.error(error.message);
console.log(`${sent.length - failed.length} of ${sent.length} messages sent to ${recipients.length} recipients`);
process.exit(failed.length + refused.length > 0 ? 1 : 0);
