// What is derived of a message at delivery, step by step, in microseconds per message: mime_bench [ROUNDS]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/encoding.hpp"
#include "mime/imap_structure.hpp"
#include "mime/message.hpp"
#include "mime/summary.hpp"

using namespace mallard;

namespace {

constexpr std::size_t size_wanted = 10 * 1024;

std::string header() {
    std::string out;
    for (int i = 0; i < 4; ++i)
        out +=
            "Received: from mx" + std::to_string(i) +
            ".example.com (mx.example.com [192.0.2.1])\r\n\tby mail.example.org with ESMTPS id abcdef0123456789\r\n\t"
            "for <bob@example.org>; Mon, 01 Jan 2024 10:00:00 +0000\r\n";
    return out +
           "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=s1;\r\n\th=from:to:subject; "
           "bh=abc;\r\n\tb=" +
           std::string(300, 'x') +
           "\r\nFrom: =?UTF-8?Q?J=C3=BCrgen_M=C3=BCller?= <juergen@example.com>\r\nTo: Bob <bob@example.org>, \"Carol, "
           "C\" "
           "<carol@example.org>\r\nCc: dave@example.net\r\nSubject: Re: =?UTF-8?Q?Gr=C3=BC=C3=9Fe?= from the "
           "bench\r\nDate: Mon, "
           "01 Jan 2024 10:00:00 +0000\r\nMessage-ID: <m1@example.com>\r\nIn-Reply-To: <m0@example.com>\r\nReferences: "
           "<a@example.com> <b@example.com>\r\n <m0@example.com>\r\nMIME-Version: 1.0\r\nList-Id: <l.example.com>\r\n";
}

std::string fill(std::string out, std::string_view line) {
    while (out.size() < size_wanted) out += line;
    return out;
}

struct Sample {
    char const* name;
    std::string source;
};

std::string mixed() {
    std::string out =
        header() +
        "Content-Type: multipart/mixed; boundary=\"----=_Part_1\"\r\n\r\n------=_Part_1\r\nContent-Type: "
        "multipart/alternative; boundary=\"----=_Part_2\"\r\n\r\n------=_Part_2\r\nContent-Type: text/plain; "
        "charset=utf-8\r\n\r\nHello Bob,\r\n\r\nsee the file.\r\n------=_Part_2\r\nContent-Type: text/html; "
        "charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n";
    for (int i = 0; i < 30; ++i)
        out += "<p style=3D\"margin: 0\">Hello <b>Bob</b>, gr=FC=DFe &amp; see the file number.</p>\r\n";
    out +=
        "------=_Part_2--\r\n------=_Part_1\r\nContent-Type: application/pdf; name=\"a.pdf\"\r\nContent-Disposition: "
        "attachment; "
        "filename=\"a.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\n";
    return fill(out, base64_encode(std::string(57, 'q')) + "\r\n") + "------=_Part_1--\r\n";
}

template <class Step>
double microseconds(int rounds, Step step) {
    auto const begin = std::chrono::steady_clock::now();
    std::size_t sum = 0;
    for (int i = 0; i < rounds; ++i) sum += step();
    std::chrono::duration<double, std::micro> const took = std::chrono::steady_clock::now() - begin;
    if (sum == 0) std::puts("nothing was done");
    return took.count() / rounds;
}

}  // namespace

int main(int argc, char** argv) {
    int const rounds = argc > 1 ? std::atoi(argv[1]) : 20'000;
    Sample const samples[] = {
        {"plain", fill(header() + "Content-Type: text/plain; charset=utf-8\r\n\r\n",
                       "A line of text like those people write, of usual length.\r\n")},
        {"base64",
         fill(header() + "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n",
              base64_encode("<div class=\"x\"><p>Some text here, <a href=x>") + "\r\n")},
        {"mixed", mixed()},
    };
    std::printf("%-8s %6s %6s %6s %6s %6s %6s %6s %6s\n", "", "bytes", "parse", "envel", "bodyst", "body", "parts",
                "summ", "thread");
    for (Sample const& sample : samples) {
        std::string const& source = sample.source;
        mime::Entity const tree = mime::parse(source);
        std::printf("%-8s %6zu %6.2f %6.2f %6.2f %6.2f %6.2f %6.2f %6.2f\n", sample.name, source.size(),
                    microseconds(rounds, [&] { return mime::parse(source).end; }),
                    microseconds(rounds, [&] { return mime::envelope(tree, source).size(); }),
                    microseconds(rounds, [&] { return mime::body_structure(tree, source).size(); }),
                    microseconds(rounds, [&] { return mime::body(tree, source).size(); }),
                    microseconds(rounds, [&] { return mime::encode_parts(tree).size(); }),
                    microseconds(rounds, [&] { return mime::summarize(tree, source).subject.size(); }),
                    microseconds(rounds, [&] { return mime::thread_refs(tree, source).size(); }));
    }
}
