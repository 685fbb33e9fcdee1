//! Photos in object storage: shared by gateways, and unavailable while it is down.

use crate::harness::{Bearer, Gateway, PICTURE, eventually, run};
use serde_json::json;
use tolmach_test_servers::S3;

const SECRET: &str = "the secret that signs requests";

/// A gateway with this storage and more options.
async fn gateway(storage: &S3, options: &[(&str, &str)]) -> Gateway {
    Gateway::with(&[&options_for(&storage.url()), options].concat()).await
}

fn options_for(endpoint: &str) -> [(&'static str, &str); 4] {
    [
        ("BLOBS__URL", "s3://photos/of/tolmach"),
        ("BLOBS__ENDPOINT", endpoint),
        ("BLOBS__ACCESS_KEY_ID", "an id"),
        ("BLOBS__SECRET_ACCESS_KEY", SECRET),
    ]
}

async fn group_with_photo(user: &Bearer<'_>, name: &str) -> crate::harness::Response {
    user.form("/group", &json!({"name": name}), Some(PICTURE)).await
}

#[tokio::test]
async fn a_photo_of_one_gateway_is_served_by_the_other() {
    let Some(storage) = S3::start_or_skip() else { return };
    storage.make_bucket("photos");
    let keys = ("AUTH__JWT_SECRET", "a secret that both gateways sign with");
    let one = gateway(&storage, &[keys]).await;
    let store = format!("sqlite://{}", one.data().join("tolmach.sqlite").display());
    let other = gateway(&storage, &[keys, ("STORE__URL", &store)]).await;

    let ann = Bearer::register(&one, "ann").await;
    let group = group_with_photo(&ann, "gallery").await.expect(200)["group"]["id"].clone();
    assert_eq!(storage.keys("photos").len(), 1);
    let ann_elsewhere = Bearer::log_in(&other, "ann").await;
    let photo = ann_elsewhere.get(&format!("/group/{group}/photo")).await;
    assert_eq!((photo.status.as_u16(), &photo.body[..]), (200, PICTURE));
    assert_eq!(
        ann_elsewhere.delete(&format!("/group/{group}")).await.expect(200),
        json!({"status": "ok"})
    );
    eventually("the end of the photo", async || storage.keys("photos").is_empty().then_some(()))
        .await;
    for gateway in [&one, &other] {
        assert!(!gateway.data().join("photos").exists(), "photos are stored in the bucket only");
        assert!(!gateway.log().contains(SECRET));
    }
}

#[tokio::test]
async fn while_the_storage_is_down_only_photos_are_unavailable() {
    let Some(storage) = S3::start_or_skip() else { return };
    storage.make_bucket("photos");
    let gateway = gateway(&storage, &[("LOG__FILTER", "debug")]).await;
    let ann = Bearer::register(&gateway, "ann").await;
    let path = format!(
        "/group/{}/photo",
        group_with_photo(&ann, "gallery").await.expect(200)["group"]["id"]
    );
    for (name, down, up) in [
        ("paused", S3::pause as fn(&S3), S3::resume as fn(&S3)),
        ("killed", S3::kill, |storage: &S3| {
            storage.start_again();
            storage.make_bucket("photos");
        }),
    ] {
        down(&storage);
        ann.get(&path).await.refused(503);
        group_with_photo(&ann, name).await.refused(503);
        assert_eq!(
            gateway.get("/readyz").await.status,
            200,
            "{name}: requests without photos are served"
        );
        ann.group(name, &[]).await;
        up(&storage);
        let made = eventually("a photo again", async || {
            let response = group_with_photo(&ann, "again").await;
            (response.status == 200).then(|| response.value())
        })
        .await;
        let photo = ann.get(&format!("/group/{}/photo", made["group"]["id"])).await;
        assert_eq!((photo.status.as_u16(), &photo.body[..]), (200, PICTURE), "{name}");
    }
    let log = gateway.log();
    assert!(log.contains("a photo could not be stored") && !log.contains(SECRET), "{log}");
}

#[tokio::test]
async fn check_reaches_the_bucket_and_prints_its_url() {
    let Some(storage) = S3::start_or_skip() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let url = storage.url();
    let check = async |options: &[(&str, &str)]| {
        let output = run(folder.path(), options, ["check"]).await;
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).expect("the output is text"))
    };
    let (code, text) = check(&options_for(&url)).await;
    assert!(code != Some(0) && text.contains("NoSuchBucket") && !text.contains(SECRET), "{text}");
    storage.make_bucket("photos");
    let (code, text) = check(&options_for(&url)).await;
    assert!(
        code == Some(0)
            && text.contains(&format!("photos   s3://photos/of/tolmach at {url}\n"))
            && !text.contains(SECRET),
        "{text}"
    );
    storage.kill();
    let (code, text) = check(&options_for(&url)).await;
    assert!(
        code != Some(0) && text.contains("photos cannot be stored there") && !text.contains(SECRET),
        "{text}"
    );
}
